"""A small real set for the demo: Imagewoof-160, ten breeds, 92 MB.

Owns the download: where from, under what terms, and that it is the published file.
"""

from __future__ import annotations

import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from doggo.core.errors import InputError
from doggo.core.progress import Progress
from doggo.storage.digest import file_sha256
from doggo.storage.disk import need_disk

URL = "https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2-160.tgz"
SHA256 = "663c22f69c2802d85e2a67103c017e047096702ffddf9149a14011b7002539bf"
"""As other projects that fetch the same file pin it."""

TERMS = (
    "Imagewoof (fast.ai): 12,954 photos of ten breeds from ImageNet, short side 160 px, 92 MB; "
    "ImageNet's terms: non-commercial research and education only"
)
_NEEDED_BYTES = 300 * 10**6
_PROBE_TIMEOUT_S = 2.0
_STALL_TIMEOUT_S = 30.0


def can_be_reached(url: str = URL) -> bool:
    """Return whether the host answers, within two seconds."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - https, from above
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def fetch(folder: Path, progress: Progress, *, url: str = URL, sha256: str = SHA256) -> list[Path]:
    """Download and unpack into `folder` unless it is there; returns its folders of photos.

    Raises:
        InputError: the download was cut off, or is not the published file.
        StorageError: there is no room for it.
    """
    unpacked = folder / "imagewoof2-160"
    if not unpacked.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        need_disk(folder, _NEEDED_BYTES, "Imagewoof-160")
        archive = folder / "imagewoof2-160.tgz"
        _download(url, archive, progress)
        found = file_sha256(archive)
        if found != sha256:
            archive.unlink()
            raise InputError(f"{url} is not the published file (sha256 {found[:12]}...); try again")
        staging = folder / "unpacking"
        with tarfile.open(archive) as tar:
            tar.extractall(staging, filter="data")
        (staging / "imagewoof2-160").replace(unpacked)
        staging.rmdir()
        archive.unlink()
    return [unpacked / "train", unpacked / "val"]


def _download(url: str, target: Path, progress: Progress) -> None:
    try:
        with (
            urllib.request.urlopen(url, timeout=_STALL_TIMEOUT_S) as answer,  # noqa: S310
            target.open("wb") as file,
        ):
            total = int(answer.headers.get("Content-Length", 0))
            while chunk := answer.read(1 << 18):
                file.write(chunk)
                progress("download", file.tell() // 10**6, max(total // 10**6, 1))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        target.unlink(missing_ok=True)
        raise InputError(f"the download of {url} failed: {error}; run it again") from error
