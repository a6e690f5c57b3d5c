"""Which files there are in the given folders, archives and buckets, each with its breed.

Owns what is left out, and that a folder reached twice counts once. Knows nothing of the files'
contents: names never decide whether something is a picture. The rules for breeds are in
`labels.py`; archives are in `packed.py`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from doggo.core.errors import InputError, UsageError
from doggo.intake.found import BucketObject, Ignored, Scan
from doggo.intake.labels import LabelsTree, labelled, take_labels, unambiguous
from doggo.intake.labels_file import read_labels
from doggo.intake.packed import scan_archive
from doggo.storage.buckets import Bucket, local_folder, open_bucket
from doggo.storage.members import is_archive
from doggo.storage.sign_in import is_remote


def scan(
    paths: Sequence[Path | str],
    labels: Path | None = None,
    *,
    scratch: Path | None = None,
    open_source: Callable[[str], Bucket] = open_bucket,
) -> Scan:
    """Return every file under `paths` with its breed, in a fixed order.

    A file's breed is, in this order: what the nearest labels file above it says (where there is
    one, nothing else counts); the nearest folder above it that names a known breed, up to the
    given path; its own flat name, if that names a known breed; the folder it lies in, as a new
    breed, unless it is called `train` or the like; its flat name, as a new breed. A labels file
    that gives no folder names no file of a name that several have. Hidden files
    and folders, empty folders and what is not a regular file are listed as ignored. A folder
    reached twice, through links or overlapping paths, counts once.

    Args:
        paths: folders, single files, archives, or URLs of buckets.
        labels: a CSV for all of them, and no other counts; without it a `labels.csv` in a folder
            counts for that folder, or a `meta_data.csv`, which leaves what it does not name to
            the folders.
        scratch: where a compressed tar may be inflated; None: it is refused.
        open_source: opens a bucket by its URL, with whatever credentials it needs.

    Raises:
        UsageError: a path does not exist.
        InputError: a labels file or an archive cannot be understood.
        StorageError: a bucket cannot be listed.
    """
    result = Scan()
    visited: set[tuple[int, int]] = set()
    common = LabelsTree({"": read_labels(labels)}) if labels is not None else None
    for path in paths:
        if "://" in str(path):
            url = str(path).rstrip("/")
            _scan_bucket(url, open_source, common, result)
            result.roots.append(url)
            continue
        root = Path(path).absolute()
        if not root.exists():
            raise UsageError(f"no such file or folder: {path}")
        result.roots.append(str(root))
        if root.is_file() and is_archive(root):
            scan_archive(root, common, scratch, result)
        else:
            _scan_folder(root, common, visited, result)
    result.files = unambiguous(result.files)
    return result


def _scan_folder(
    root: Path, common: LabelsTree | None, visited: set[tuple[int, int]], result: Scan
) -> None:
    ignored = list[Ignored]()
    listed = sorted(_walk(root, visited, ignored), key=os.fsencode)
    files = {file[len(str(root)) + 1 :] or root.name: file for file in listed}
    labels = take_labels(
        files,
        common,
        read=lambda inside: _read(Path(files[inside])),
        shown=lambda inside: files[inside],
        ignored=result.ignored,
    )
    result.ignored.extend(ignored)
    for file in files.values():
        result.files.append(labelled(file, str(root), labels))
    result.ignored.extend(labels.without_file(files))


def _scan_bucket(
    url: str, open_source: Callable[[str], Bucket], common: LabelsTree | None, result: Scan
) -> None:
    """List a bucket, which may be one that the first doggo made.

    Its labels are those of a folder: `BREED/NAME.npy`, `BREED_ID.jpg`, `meta_data.csv`.
    """
    if not is_remote(url) and not local_folder(url).is_dir():
        raise UsageError(f"no such bucket: {url}")  # opening a local one would make it
    bucket = open_source(url)
    stored = dict[str, BucketObject]()
    for key, size_bytes in bucket.sizes().items():
        if any(part.startswith(".") for part in key.split("/")):
            result.ignored.append(Ignored(f"{url}/{key}", "hidden"))
        else:
            stored[key] = BucketObject(bucket, key, size_bytes)
    labels = take_labels(
        stored, common, read=bucket.read, shown=f"{url}/{{}}".format, ignored=result.ignored
    )
    root = "/" + unquote(url).rpartition("/")[2]
    for key, found in stored.items():
        file = labelled(f"{root}/{key}", root, labels, shown=f"{url}/{key}", stored=found)
        result.files.append(file)
    result.ignored.extend(labels.without_file({key: f"{url}/{key}" for key in stored}))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the labels file {path}: {error}") from error


def _walk(root: Path, visited: set[tuple[int, int]], ignored: list[Ignored]) -> Iterator[str]:
    """Yield the regular files below `root`; linked folders last, so that real ones come first."""
    if not root.is_dir():
        if _is_regular(str(root), ignored):
            yield str(root)
        return
    folders, linked = [str(root)], list[str]()
    while folders or linked:
        folder = folders.pop() if folders else linked.pop()
        try:
            status = Path(folder).stat()
            identity = (status.st_dev, status.st_ino)
            if identity in visited:
                ignored.append(Ignored(folder, "folder already visited"))
                continue
            visited.add(identity)
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            ignored.append(Ignored(folder, f"cannot be opened: {error.strerror}"))
            continue
        if not listing:
            ignored.append(Ignored(folder, "an empty folder"))
        for entry in reversed(listing):
            if entry.name.startswith("."):
                ignored.append(Ignored(entry.path, "hidden"))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_symlink() and Path(entry.path).is_dir():  # False for a loop
                linked.append(entry.path)
            elif entry.is_file(follow_symlinks=False) or _is_regular(entry.path, ignored):
                yield entry.path


def _is_regular(path: str, ignored: list[Ignored]) -> bool:
    try:
        regular = stat.S_ISREG(Path(path).stat().st_mode)
        reason = "not a regular file"
    except OSError as error:
        regular, reason = False, f"cannot be opened: {error.strerror}"
    if not regular:
        ignored.append(Ignored(path, reason))
    return regular
