"""Upload and download through a bucket beside bare parallel clients on the same emulator.

Two clients take turns with ours against fake-gcs-server on loopback, files to objects and back.
The peer is Google's own client (google-cloud-storage) in a pool of threads, nothing around it.
The floor is aiohttp alone with as many requests at once: no retries, checksums or tokens; no
library can be as quick on loopback, where nothing but processor time counts. The emulator takes
part of the two cores, for all sides alike.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import aiohttp
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from requests.adapters import HTTPAdapter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import object_stores

from doggo.storage.buckets import open_bucket
from doggo.storage.remote import AT_ONCE

BAR = 0.80
ROUNDS = 3
KINDS = {"photos": (600, 20_000), "shards": (12, 16_000_000)}


def main() -> int:
    good = True
    with object_stores.gcs() as store, tempfile.TemporaryDirectory() as folder:
        os.environ.update(store.env)
        for kind, (count, size) in KINDS.items():
            files = _files(Path(folder) / kind, count, size)
            rounds = [_round(store, Path(folder), files) for _ in range(ROUNDS)]
            for way in ("up", "down"):
                good &= _told(f"{kind} {way}", [one[way] for one in rounds], count, size) >= BAR
    print(f"bar: at least {BAR:.2f} of Google's client: {'holds' if good else 'BELOW'}")
    return 0 if good else 1


def _round(
    store: object_stores.ObjectStore, folder: Path, files: dict[str, Path]
) -> dict[str, tuple[float, float, float]]:
    """Return seconds of ours, the peer and the floor, up and down."""
    urls = [store.new_bucket() for _ in range(3)]
    bucket, fresh = (open_bucket(urls[0], cache=folder / secrets.token_hex(4)) for _ in range(2))
    keys = list(files)
    into = [{key: _empty(folder) / key.replace("/", "-") for key in keys} for _ in range(2)]
    return {
        "up": (
            _timed(lambda: bucket.adopt_copies(files)),
            _timed(lambda: _google_up(urls[1], files)),
            _timed(lambda: asyncio.run(_bare_up(store.endpoint, urls[2], files))),
        ),
        "down": (
            _timed(lambda: fresh.fetch(keys)),
            _timed(lambda: _google_down(urls[1], into[0])),
            _timed(lambda: asyncio.run(_bare_down(store.endpoint, urls[2], into[1]))),
        ),
    }


def _empty(folder: Path) -> Path:
    path = folder / secrets.token_hex(4)
    path.mkdir()
    return path


def _told(what: str, rounds: list[tuple[float, float, float]], count: int, size: int) -> float:
    ours_s, google_s, floor_s = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(google / ours for ours, google, _ in rounds)
    floor = statistics.median(bare / ours for ours, _, bare in rounds)
    unit, scale = ("/s", 1.0) if size < 10**6 else (" MB/s", size / 1e6)
    rates = [f"{scale * count / seconds:5.0f}{unit}" for seconds in (ours_s, google_s, floor_s)]
    print(
        f"{what:12} {count} of {size:,} bytes: {rates[0]}; Google's client {rates[1]} "
        f"(ours is {ratio:.2f} of it), aiohttp alone {rates[2]} ({floor:.2f})",
        flush=True,
    )
    return ratio


def _google_up(url: str, files: dict[str, Path]) -> None:
    bucket = _google_bucket(url)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(
            pool.map(
                lambda key: bucket.blob(key).upload_from_filename(
                    str(files[key]), if_generation_match=0
                ),
                files,
            )
        )


def _google_down(url: str, files: dict[str, Path]) -> None:
    bucket = _google_bucket(url)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda key: bucket.blob(key).download_to_filename(str(files[key])), files))


def _google_bucket(url: str) -> storage.Bucket:
    client = storage.Client(project="test", credentials=AnonymousCredentials())
    adapter = HTTPAdapter(pool_connections=AT_ONCE, pool_maxsize=AT_ONCE)
    client._http.mount("http://", adapter)
    return client.bucket(url.removeprefix("gs://"))


def _files(folder: Path, count: int, size: int) -> dict[str, Path]:
    folder.mkdir()
    files = {}
    for n in range(count):
        path = folder / f"{n:05}"
        path.write_bytes(os.urandom(size))
        files[f"objects/{n:05}"] = path
    return files


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


async def _bare_up(endpoint: str, url: str, files: dict[str, Path]) -> None:
    bucket = url.removeprefix("gs://")

    async def one(session: aiohttp.ClientSession, key: str) -> None:
        # Many parts and a condition as ours: the emulator takes longer over those.
        where = (
            f"{endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=multipart&ifGenerationMatch=0"
        )
        name = json.dumps({"name": key}).encode()
        body = b"--e\r\nContent-Type: application/json\r\n\r\n%b\r\n--e\r\n\r\n%b\r\n--e--" % (
            name,
            files[key].read_bytes(),
        )
        kind = {"Content-Type": "multipart/related; boundary=e"}
        async with session.post(where, data=io.BytesIO(body), headers=kind) as answer:
            assert answer.status == 200, answer.status
            await answer.read()

    await _all(one, list(files))


async def _bare_down(endpoint: str, url: str, files: dict[str, Path]) -> None:
    bucket = url.removeprefix("gs://")

    async def one(session: aiohttp.ClientSession, key: str) -> None:
        where = f"{endpoint}/download/storage/v1/b/{bucket}/o/{quote(key, '')}?alt=media"
        async with session.get(where) as answer:
            assert answer.status == 200, answer.status
            files[key].write_bytes(await answer.read())

    await _all(one, list(files))


async def _all(one: Callable, keys: list[str]) -> None:
    limit = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession() as session:

        async def limited(key: str) -> None:
            async with limit:
                await one(session, key)

        await asyncio.gather(*(limited(key) for key in keys))


if __name__ == "__main__":
    sys.exit(main())
