"""A large published file over HTTP: it arrives whole, or goes on where it stopped.

Owns the transfer: what is kept between two runs (`NAME.part` and what the server said of it), when
to try again and when not. A file gets its name only after its sha256 was checked. Knows nothing
of what is in it.

Sources: RFC 9110, sections 13.1.5 (If-Range), 14.4 (Content-Range), 10.2.3 (Retry-After).
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from doggo.core.errors import InputError, StorageError, UsageError
from doggo.core.os_errors import explained
from doggo.core.progress import Progress
from doggo.storage.digest import file_sha256
from doggo.storage.disk import need_disk
from doggo.storage.whole import fsync

log = logging.getLogger(__name__)

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each new try that follows one that brought nothing."""

_STALL_TIMEOUT_S = 30.0
_BLOCK_BYTES = 1 << 18
_LONGEST_WAIT_S = 60.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A file as its publisher put it out."""

    name: str
    size_bytes: int
    sha256: str


class _TryAgainError(Exception):
    """The network or the server failed in a way that may pass."""

    def __init__(self, why: object, wait_s: float = 0.0) -> None:
        super().__init__(str(why))
        self.wait_s = wait_s


def download(
    url: str,
    file: Published,
    folder: Path,
    progress: Progress,
    *,
    pauses_s: Sequence[float] = PAUSES_S,
) -> Path:
    """Return `folder/NAME`, downloaded unless it is there; `progress` is told bytes.

    Killed or cut off at any moment, the next call asks the server for the rest.

    Raises:
        UsageError: the URL is not one of the web.
        InputError: the server has not this file, answers with another one or a web page, or the
            network fails for good. What arrived is kept where it may be part of the file.
        StorageError: there is no room, or another command is downloading it.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"cannot download {url!r}: give an http:// or https:// address")
    target = folder / file.name
    with explained(f"write to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{file.name}.lock", timeout=0)
    try:
        with lock:
            if not target.exists():
                _fetch(url, file, _Part(target), progress, pauses_s)
            elif _sha256(target) != file.sha256:
                raise InputError(
                    f"{target} is not the published file: move it away and run this again"
                )
    except Timeout as error:
        raise StorageError(f"another command is downloading {target}: wait for it") from error
    return target


class _Part:
    """What has arrived of a file, and the version of the file that it is a part of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._about = target.with_name(f"{target.name}.part.json")

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> str | None:
        """Return what names the server's version of the file, if it gave a strong name."""
        try:
            about = json.loads(self._about.read_text())
            return str(about["version"]) if about["url"] == url and about["version"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def restart(self, url: str, headers: http.client.HTTPMessage) -> None:
        """Drop what is there and note which version comes now: in this order, for a kill."""
        self.path.write_bytes(b"")
        etag = headers.get("ETag", "")
        version = etag if etag.startswith('"') else headers.get("Last-Modified")
        self._about.write_text(json.dumps({"url": url, "version": version}))

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def finish(self) -> None:
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._about.unlink(missing_ok=True)
        fsync(self.target.parent)


def _fetch(
    url: str, file: Published, part: _Part, progress: Progress, pauses_s: Sequence[float]
) -> None:
    need_disk(part.target.parent, file.size_bytes - part.size_bytes, file.name)
    fruitless = 0
    while part.size_bytes != file.size_bytes:
        before = part.size_bytes
        try:
            with explained(f"write {part.path}"):
                _receive(url, file, part, progress)
        except _TryAgainError as error:
            fruitless = 0 if part.size_bytes > before else fruitless + 1
            if fruitless > len(pauses_s):
                raise InputError(
                    f"the download of {url} failed: {error}; run the same command again, it goes "
                    f"on after the {part.size_bytes:,} bytes that are here"
                ) from error
            log.warning("download_interrupted url=%s reason=%s", url, error)
            time.sleep(max(error.wait_s, pauses_s[max(fruitless - 1, 0)] if pauses_s else 0.0))
    progress(file.name, file.size_bytes, file.size_bytes)
    if _sha256(part.path) != file.sha256:
        part.drop()
        raise InputError(
            f"{url} is not the published file (another sha256): run this again, or give another "
            "mirror with --url"
        )
    with explained(f"write {part.target}"):
        part.finish()


def _receive(url: str, file: Published, part: _Part, progress: Progress) -> None:
    """Ask once for what is missing and write what comes."""
    with _ask(url, part) as answer:
        _check(answer, url, file, part)
        with part.path.open("ab") as target:
            _copy(answer, target, url, file, part, progress)


def _ask(url: str, part: _Part) -> http.client.HTTPResponse:
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310
            _request(url, part), timeout=_STALL_TIMEOUT_S
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.drop()
        elif error.code not in _PASSING:
            raise InputError(
                f"{url} answered {error.code} {error.reason}: check the address (--url)"
            ) from error
        raise _TryAgainError(f"it answered {error.code}", _asked_wait_s(error)) from error
    except http.client.InvalidURL as error:
        raise UsageError(f"cannot download {url!r}: {error}") from error
    except urllib.error.URLError as error:
        raise _TryAgainError(error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(error or type(error).__name__) from error
    return answer


def _request(url: str, part: _Part) -> urllib.request.Request:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310
    have = part.size_bytes
    if have:
        request.add_header("Range", f"bytes={have}-")
        version = part.version(url)
        if version is not None:
            request.add_header("If-Range", version)
    return request


def _check(answer: http.client.HTTPResponse, url: str, file: Published, part: _Part) -> None:
    """Make sure that what comes belongs after what is here, or begin anew."""
    if answer.headers.get_content_type().startswith("text/"):
        raise _page(url)
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if said is None or (int(said[1]), int(said[2])) != (part.size_bytes, file.size_bytes):
            part.drop()
            raise _TryAgainError("the server sent another part than was asked for")
        return
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and int(length) != file.size_bytes:
        raise InputError(
            f"{url} has {int(length):,} bytes, the published file {file.size_bytes:,}: it is "
            "another file; give another mirror with --url"
        )
    part.restart(url, answer.headers)


def _copy(
    answer: http.client.HTTPResponse,
    target: IO[bytes],
    url: str,
    file: Published,
    part: _Part,
    progress: Progress,
) -> None:
    done = target.tell()
    while block := _block(answer):
        if done == 0 and block.lstrip()[:1] == b"<":
            part.drop()
            raise _page(url)
        done += len(block)
        if done > file.size_bytes:
            part.drop()
            raise InputError(f"{url} sends more than the published file: give another mirror")
        target.write(block)
        progress(file.name, done, file.size_bytes)
    target.flush()
    if done < file.size_bytes:
        raise _TryAgainError(f"the connection ended after {done:,} of {file.size_bytes:,} bytes")


def _block(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(
            f"the connection was lost ({error or type(error).__name__})"
        ) from error


def _page(url: str) -> InputError:
    return InputError(
        f"{url} gave a web page, not the file: does this network want you to log in first?"
    )


def _asked_wait_s(error: urllib.error.HTTPError) -> float:
    said = error.headers.get("Retry-After", "")
    return min(float(said), _LONGEST_WAIT_S) if said.isdigit() else 0.0


def _sha256(path: Path) -> str:
    with explained(f"read {path}"):
        return file_sha256(path)
