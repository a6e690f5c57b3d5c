"""Which files there are under the given paths, and which breed each one is filed under.

Owns the three layouts (folder per breed, flat `breed_<id>` names, Kaggle's `labels.csv`) and
what is left out. Knows nothing of the files' contents: names never decide whether something is
a picture.
"""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from doggo.core.breeds import BREEDS, normalise
from doggo.core.errors import InputError, UsageError

LABELS_FILE = "labels.csv"

_KNOWN = frozenset(BREEDS)
_ID_COLUMNS = ("id", "filename", "filenames", "file", "path", "image")
_BREED_COLUMNS = ("breed", "label", "class")
# What cameras and people call any picture: before the last `_` it says nothing of the breed.
_CAMERA_WORDS = re.compile(
    r"^(img|dsc|dscn|dscf|pxl|mvimg|vid|image|images|photo|picture|pic|scan|screenshot|untitled"
    r"|whatsapp_image|unnamed|file|download)([_\d].*)?$"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file to look into.

    Attributes:
        path: as the operating system spells it.
        breed: key of its breed, or None if nothing names one.
        problem: why there is no breed, in words; None if there is one.
    """

    path: str
    breed: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A thing that intake leaves alone, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Scan:
    """All that lies under the given paths, in a fixed order."""

    files: list[Found] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)


def scan(paths: Sequence[Path], labels: Path | None = None) -> Scan:
    """Return every file under `paths` with its breed, sorted by path within each of them.

    A file's breed is, in this order: what the labels file says (where there is one, nothing
    else counts); the nearest folder above it that names a known breed, up to the given path;
    its own flat name, if that names a known breed; the folder it lies in, as a new breed; its
    flat name, as a new breed. Hidden files and folders and what is not a regular file are
    listed as ignored. A folder reached twice, through links or overlapping paths, counts once.

    Args:
        paths: folders or single files.
        labels: a CSV for all of them; without it a `labels.csv` in a folder counts for it.

    Raises:
        UsageError: a path does not exist.
        InputError: a labels file cannot be understood.
    """
    result = Scan()
    visited: set[tuple[int, int]] = set()
    common = read_labels(labels) if labels is not None else None
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}")
        root = path.absolute()
        table = common
        if table is None and (own := _labels_file_in(root)) is not None:
            table = read_labels(own)
            result.ignored.append(Ignored(str(own), "read as the labels of this folder"))
        listed = list(_walk(root, visited, result.ignored))
        for file in sorted(listed, key=os.fsencode):
            if not (table and file.lower().endswith(LABELS_FILE)):
                result.files.append(_labelled(file, root, table))
        if table is not None:
            result.ignored.extend(_without_file(table, listed))
    return result


def read_labels(path: Path) -> Mapping[str, str]:
    """Return file name or stem → the breed as written, from a CSV with a header.

    The header names an `id` (or `filename`, `file`, `path`, `image`) and a `breed` (or `label`,
    `class`) column, as Kaggle's dog-breed-identification and the first doggo wrote them.

    Raises:
        InputError: it cannot be read, lacks a column, or gives one file two breeds.
    """
    table: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            id_column, breed_column = _columns(path, reader.fieldnames or [])
            for row in reader:
                name = Path((row[id_column] or "").strip()).name
                breed = (row[breed_column] or "").strip()
                if name and table.setdefault(name, breed) != breed:
                    raise InputError(
                        f"{path} line {reader.line_num}: {name!r} has two breeds, "
                        f"{table[name]!r} and {breed!r}; keep one"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the labels file {path}: {error}") from error
    return table


def flat_label(name: str) -> str | None:
    """Return what a flat name such as `german_shepherd_1690.jpg` calls its breed, or None.

    It is all before the last `_`; the names that cameras give (`IMG_1234.jpg`) say nothing.
    """
    label, separator, _ = Path(name).stem.rpartition("_")
    if not separator or not label or _CAMERA_WORDS.match(label.lower()):
        return None
    return label


def _columns(path: Path, header: Sequence[str]) -> tuple[str, str]:
    lowered = {name.strip().lower(): name for name in header if name}
    ids = [lowered[name] for name in _ID_COLUMNS if name in lowered]
    breeds = [lowered[name] for name in _BREED_COLUMNS if name in lowered]
    if not ids or not breeds:
        raise InputError(
            f"the labels file {path} needs a header with `id` and `breed`; "
            f"it starts with {', '.join(header) or 'nothing'}"
        )
    return ids[0], breeds[0]


def _labels_file_in(root: Path) -> Path | None:
    if not root.is_dir():
        return None
    with os.scandir(root) as entries:
        names = sorted(e.name for e in entries if e.name.lower() == LABELS_FILE and e.is_file())
    return root / names[0] if names else None


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
        for entry in reversed(listing):
            if entry.name.startswith("."):
                ignored.append(Ignored(entry.path, "hidden"))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_symlink() and entry.is_dir():
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


def _labelled(file: str, root: Path, table: Mapping[str, str] | None) -> Found:
    folder, name = os.path.split(file)
    if table is not None:
        written = table.get(name, table.get(Path(name).stem))
        if written is None:
            return Found(file, None, "the labels file does not name it")
        return _found(file, written)
    # A single file is judged by the folder it lies in, as if that had been given.
    known, own = _folder_label(folder, folder if file == str(root) else str(root))
    if known is not None:
        return Found(file, known)
    flat = flat_label(name)
    if flat is not None and (key := _key(flat)[0]) in _KNOWN:
        return Found(file, key)
    unknown = own or flat
    if unknown is None:
        return Found(file, None, "neither a folder nor its name says the breed")
    return _found(file, unknown)


@lru_cache(maxsize=4096)
def _folder_label(folder: str, top: str) -> tuple[str | None, str | None]:
    """Return the known breed that a folder or one above it names, up to `top`, and its own name.

    `top` itself may name a known breed, but not a new one.
    """
    path, above = Path(folder), Path(top)
    inside = path.relative_to(above).parts
    for name in (*reversed(inside), above.name):
        if (key := _key(name)[0]) in _KNOWN:
            return key, None
    return None, inside[-1] if inside else None


def _found(file: str, written: str) -> Found:
    key, problem = _key(written)
    return Found(file, key, problem)


@lru_cache(maxsize=4096)
def _key(written: str) -> tuple[str | None, str | None]:
    """Return the key, or None and why there is none."""
    try:
        return normalise(written), None
    except InputError as error:
        return None, str(error)


def _without_file(table: Mapping[str, str], listed: Sequence[str]) -> Iterator[Ignored]:
    present = {Path(file).name for file in listed} | {Path(file).stem for file in listed}
    for name in table:
        if name not in present:
            yield Ignored(name, "in the labels file, but there is no such file")
