"""An object store over fsspec: Google Cloud Storage (`gs://`) and S3 (`s3://`).

Owns how many objects are under way at once and what makes a write conditional in each store.
Retries with growing pauses and the checksums of transfers are those of gcsfs and s3fs where they
have them. Knows nothing of credentials (`sign_in.py`), of the words for what a store refuses
(`refusals.py`), of caches or of what objects hold.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from doggo.core.errors import StorageError, UsageError
from doggo.core.progress import Progress, silent
from doggo.storage.refusals import ChecksumError, cloud_refusals, is_damaged, refusal_code
from doggo.storage.sign_in import google_files, s3_files

if TYPE_CHECKING:
    from pydantic import SecretStr

AT_ONCE = 32
"""Objects under way: a small one costs a round trip, and stores answer many at once."""

_CHECKED_BYTES = 2**20
"""From here on a read from Google is compared with its MD5 (S3's library compares all): a shard.
Smaller objects have their sha256 in their name or in a bundle, and whoever reads them compares."""

_LARGE_BYTES = 4 * 2**20
_LARGE_AT_ONCE = 4  # each may be in memory whole
_PART = "doggo-part"


@dataclass(frozen=True, slots=True)
class _Seen:
    """An object's bytes with the token that a conditional write names."""

    data: bytes
    token: str


class Remote:
    """The objects under one URL such as `gs://bucket/folder`. Safe to use from several threads.

    Keys are relative. Every object is whole or not there: both stores see to that.
    """

    def __init__(self, url: str, google_key: SecretStr | None = None) -> None:
        """Connect lazily: nothing is asked of the store before the first call.

        Args:
            google_key: a service account's JSON key in base64; None: the credentials that are
                around (GOOGLE_APPLICATION_CREDENTIALS, gcloud, the machine's own account).

        Raises:
            UsageError: the library for this scheme is not installed, or the key is no key.
        """
        parsed = urlparse(url)
        if not parsed.netloc:
            raise UsageError(f"{url!r} names no bucket: write {parsed.scheme}://BUCKET[/FOLDER]")
        self.url = url.rstrip("/")
        self._google = parsed.scheme == "gs"
        self._bucket = parsed.netloc
        self._root = f"{parsed.netloc}{parsed.path.rstrip('/')}"
        self._fs = google_files(google_key) if self._google else s3_files()
        self._checks = {"consistency": "md5"} if self._google else {}
        # One request an object: many objects are under way, and each part would ask its size.
        self._reads = {"concurrency": 1} if self._google else {}

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the bytes of every object whose key starts with `prefix`, sorted by key.

        Raises:
            StorageError: the bucket is not there, or may not be listed.
        """
        folder, _, start = prefix.rpartition("/")
        root = f"{self._root}/{folder}" if folder else self._root
        with cloud_refusals(f"list {self.url}", self.url):
            found = self._fs.find(root, prefix=start, detail=True)
        cut = len(self._root) + 1
        sizes = {name[cut:]: int(info["size"]) for name, info in found.items()}
        return {key: sizes[key] for key in sorted(sizes) if key.startswith(prefix)}

    def size(self, key: str) -> int | None:
        """Return the bytes of an object, or None if there is none."""
        with cloud_refusals(f"look at {self.url}/{key}", self.url):
            try:
                return int(self._fs.info(self._path(key))["size"])
            except FileNotFoundError:
                return None

    def read(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises:
            StorageError: it is not there, or the store refuses.
        """
        from fsspec.asyn import sync

        with cloud_refusals(f"read {self.url}/{key}", self.url):
            data: bytes = sync(self._fs.loop, _twice, lambda: self._fs._cat_file(self._path(key)))
        return data

    def find(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if there is none: one request."""
        try:
            return self.read(key)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""
        with cloud_refusals(f"write {self.url}/{key}", self.url):
            self._fs.pipe_file(self._path(key), data, **self._checks)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if its key is free; return whether it was written.

        The store decides between two writers. A write that succeeded and whose answer was lost
        is tried again by the library and then finds its own object: it counts as written.
        """
        with cloud_refusals(f"create {self.url}/{key}", self.url):
            try:
                self._fs.pipe_file(self._path(key), data, mode="create", **self._checks)
            except FileExistsError:
                return False
        return True

    def swap(self, key: str, data: bytes, expected: bytes | None) -> bool:
        """Replace an object only if it still is what was `expected` (None: not there).

        The store decides between two writers: a precondition on the generation (Google) or the
        entity tag (S3) of what was read.
        """
        if expected is None:
            return self.create(key, data)
        with cloud_refusals(f"write {self.url}/{key}", self.url):
            seen = self._seen(key)
            if seen is None or seen.data != expected:
                return False
            return self._replace(key, data, seen.token)

    def download(
        self, files: Mapping[str, Path], progress: Progress = silent, stage: str = "download"
    ) -> None:
        """Write objects into files, by key; many at once. Folders must be there.

        An object that is not there makes no file.

        Raises:
            StorageError: one of them cannot be fetched; files may be left, half-written too.
        """

        async def one(key: str) -> None:
            try:
                await _twice(lambda: self._get(key, files[key]))
            except FileNotFoundError:
                files[key].unlink(missing_ok=True)

        with cloud_refusals(f"read from {self.url}", self.url):
            self._all(one, dict.fromkeys(files, 0), progress, stage)

    async def _get(self, key: str, file: Path) -> None:
        await self._fs._get_file(self._path(key), str(file), **self._reads)
        if not self._google or file.stat().st_size < _CHECKED_BYTES:
            return
        # gcsfs's own check of reads fails where the store sends its hashes as two headers.
        promised = (await self._fs._info(self._path(key))).get("md5Hash")
        with file.open("rb") as data:
            found = base64.b64encode(hashlib.file_digest(data, "md5").digest()).decode()
        if promised not in (None, found):
            raise ChecksumError(f"{self.url}/{key}")

    def upload(self, files: Mapping[str, Path], *, only_new: bool = False) -> None:
        """Write files into objects, by key; many at once. All are there once it returns.

        Args:
            only_new: leave alone what is there: for keys that name their content.
        """

        async def one(key: str) -> None:
            mode = "create" if only_new else "overwrite"
            try:
                await self._fs._put_file(
                    str(files[key]), self._path(key), mode=mode, **self._checks
                )
            except FileExistsError:
                if not only_new:
                    raise

        with cloud_refusals(f"write to {self.url}", self.url):
            sizes = {key: path.stat().st_size for key, path in files.items()}
            self._all(one, sizes)

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects; those that are not there are no error."""

        async def one(key: str) -> None:
            try:
                await self._fs._rm_file(self._path(key))
            except FileNotFoundError:
                return

        with cloud_refusals(f"delete in {self.url}", self.url):
            self._all(one, dict.fromkeys(keys, 0))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _all(
        self,
        one: Callable[[str], Awaitable[None]],
        sizes: Mapping[str, int],
        progress: Progress = silent,
        stage: str = "",
    ) -> None:
        """Do something for every key at once within limits; the first error stops the rest."""

        async def everything() -> None:
            small, large = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(_LARGE_AT_ONCE)
            done = 0

            async def limited(key: str, size: int) -> None:
                nonlocal done
                async with small if size < _LARGE_BYTES else large:
                    await one(key)
                done += 1
                progress(stage, done, len(sizes))

            async with asyncio.TaskGroup() as group:
                for key, size in sizes.items():
                    group.create_task(limited(key, size))

        from fsspec.asyn import sync

        try:
            sync(self._fs.loop, everything)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    def _seen(self, key: str) -> _Seen | None:
        try:
            info = self._fs.info(self._path(key))
            data = self._fs.cat_file(self._path(key))
        except FileNotFoundError:
            return None
        # What is written in between changes the token that is stored, so the condition fails.
        return _Seen(data, str(info["generation"] if self._google else info["ETag"]))

    def _replace(self, key: str, data: bytes, token: str) -> bool:
        if not self._google:
            return self._replace_s3(key, data, token)
        fs: Any = self._fs
        name = self._path(key).removeprefix(f"{self._bucket}/")
        body = (
            f"--{_PART}\r\nContent-Type: application/json\r\n\r\n{json.dumps({'name': name})}\r\n"
            f"--{_PART}\r\nContent-Type: application/octet-stream\r\n\r\n"
        ).encode() + data
        try:
            fs.call(
                "POST",
                f"{fs._location}/upload/storage/v1/b/{self._bucket}/o",
                uploadType="multipart",
                ifGenerationMatch=token,
                headers={"Content-Type": f"multipart/related; boundary={_PART}"},
                data=body + f"\r\n--{_PART}--".encode(),
                json_out=True,
            )
        except FileExistsError:  # 412: the condition does not hold
            return False
        return True

    def _replace_s3(self, key: str, data: bytes, token: str) -> bool:
        try:
            self._fs.pipe_file(self._path(key), data, IfMatch=token)
        except OSError as error:
            if refusal_code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
                return False
            raise
        return True


async def _twice(read: Callable[[], Awaitable[Any]]) -> Any:
    """Read again, once, what came damaged: s3fs tries again what failed, but not that."""
    try:
        return await read()
    except Exception as error:
        if not is_damaged(error):
            raise
        return await read()
