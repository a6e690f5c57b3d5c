"""Which breed a file is filed under: by a labels file, its folders, or its own name.

Owns the rules and their order, and how a labels file is read. Reads no photo and looks into no
folder: a path is text here, so the rules are the same for folders, archives and buckets.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TypeVar

from doggo.core.breeds import BREEDS, normalise
from doggo.core.errors import InputError
from doggo.intake.found import Found, Ignored, Stored

LABELS_FILE = "labels.csv"
SEED_LABELS_FILE = "meta_data.csv"
"""As `doggo preprocess` writes it, and the first doggo did (by listing: it may be incomplete)."""

_File = TypeVar("_File")
_LABELS_FILES = (LABELS_FILE, SEED_LABELS_FILE)
_KNOWN = frozenset(BREEDS)
_ID_COLUMNS = ("id", "filename", "filenames", "file", "path", "image")
_BREED_COLUMNS = ("breed", "label", "class")
# What cameras and people call any picture: before the last `_` it says nothing of the breed.
_CAMERA_WORDS = re.compile(
    r"^(img|dsc|dscn|dscf|pxl|mvimg|vid|image|images|photo|picture|pic|scan|screenshot|untitled"
    r"|whatsapp_image|unnamed|file|download)([_\d].*)?$"
)
# fmt: off
NO_BREEDS = frozenset({
    "train", "training", "test", "testing", "val", "valid", "validation", "eval",
    "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures",
    "data", "dataset", "jpg", "jpeg", "png",
})
# fmt: on
"""Folders that say what they hold or which part of a set they are, and nothing of the breed."""


@dataclass(frozen=True, slots=True)
class Labels:
    """A labels file.

    Attributes:
        breeds: file name or stem → the breed as written; from a `meta_data.csv` also the whole
            path below its folder.
        alone: whether a file that it does not name has no breed.
    """

    breeds: Mapping[str, str]
    alone: bool = True

    def of(self, inside: str) -> str | None:
        """Return the breed as written of a file, by its path below the given folder."""
        name = inside.rpartition("/")[2]
        for written in (inside, name, PurePosixPath(name).stem):
            if written in self.breeds:
                return self.breeds[written]
        return None

    def without_file(self, inside: Sequence[str]) -> Iterator[Ignored]:
        """Yield the lines that name none of these files."""
        present = set(inside) | {PurePosixPath(path).name for path in inside}
        present |= {PurePosixPath(path).stem for path in inside}
        for name in self.breeds:
            if name not in present:
                yield Ignored(name, "in the labels file, but there is no such file")


@dataclass(slots=True)
class LabelsTree:
    """The labels files of one tree of folders; each rules the folder that it lies in.

    Attributes:
        by_folder: the path of a folder below the top, empty for the top, → its labels.
    """

    by_folder: dict[str, Labels] = field(default_factory=dict)

    def of(self, inside: str) -> tuple[str | None, bool]:
        """Return the breed as written, and whether nothing else may name one.

        The nearest labels file above a file comes first. One that is not alone leaves the files
        that it does not name to those above it.
        """
        folder = inside
        while folder and self.by_folder:
            folder = folder.rpartition("/")[0]
            labels = self.by_folder.get(folder)
            if labels is not None:
                written = labels.of(_below(folder, inside))
                if written is not None or labels.alone:
                    return written, True
        return None, False

    def without_file(self, inside: Sequence[str]) -> Iterator[Ignored]:
        """Yield the lines that name none of these files, which are given below the top."""
        for folder, labels in self.by_folder.items():
            start = f"{folder}/" if folder else ""
            here = [path[len(start) :] for path in inside if path.startswith(start)]
            yield from labels.without_file(here)


def take_labels(
    files: dict[str, _File],
    common: LabelsTree | None,
    *,
    read: Callable[[str], bytes],
    shown: Callable[[str], str],
    ignored: list[Ignored],
) -> LabelsTree:
    """Take the labels files out of the files of a tree, and return what they say.

    In one folder `labels.csv` comes before `meta_data.csv`.

    Args:
        files: by their path below the top; those called as labels files are removed.
        common: labels that were given: they rule alone.
        read, shown: give the bytes of a labels file, and what to call it in a message.
        ignored: is told what became of each of them.

    Raises:
        InputError: as `read_labels`.
    """
    own = LabelsTree()
    for inside in sorted((path for path in files if _is_labels_file(path)), key=_precedence):
        folder, _, name = inside.rpartition("/")
        if common is not None:
            reason = "not read: --labels was given"
        elif folder in own.by_folder:
            reason = "not read: another labels file of its folder is"
        else:
            alone = name.lower() == LABELS_FILE
            own.by_folder[folder] = parse_labels(read(inside), shown(inside), alone=alone)
            reason = "read as the labels of its folder"
        ignored.append(Ignored(shown(inside), reason))
        del files[inside]
    return own if common is None else common


def _is_labels_file(path: str) -> bool:
    return path.rpartition("/")[2].lower() in _LABELS_FILES


def _precedence(path: str) -> tuple[int, str]:
    return _LABELS_FILES.index(path.rpartition("/")[2].lower()), path


def _below(folder: str, inside: str) -> str:
    return inside[len(folder) + 1 :] if folder else inside


def read_labels(path: Path) -> Labels:
    """Return a labels file: a CSV with a header.

    The header names an `id` (or `filename`, `file`, `path`, `image`) and a `breed` (or `label`,
    `class`) column, as Kaggle's dog-breed-identification and the first doggo wrote them.

    Raises:
        InputError: it cannot be read, lacks a column, or gives one file two breeds.
    """
    try:
        return parse_labels(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"cannot read the labels file {path}: {error}") from error


def parse_labels(data: bytes, shown: str, *, alone: bool = True) -> Labels:
    """Return the labels in the bytes of a CSV.

    Args:
        shown: what to call it in a message.
        alone: names count without their folders, and nothing else names a breed.

    Raises:
        InputError: as `read_labels`.
    """
    table: dict[str, str] = {}
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        id_column, breed_column = _columns(shown, reader.fieldnames or [])
        for row in reader:
            written = PurePosixPath((row[id_column] or "").strip())
            name = written.name if alone else str(written)
            breed = (row[breed_column] or "").strip()
            if name and table.setdefault(name, breed) != breed:
                raise InputError(
                    f"{shown} line {reader.line_num}: {name!r} has two breeds, "
                    f"{table[name]!r} and {breed!r}; keep one"
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the labels file {shown}: {error}") from error
    return Labels(table, alone)


def labelled(
    file: str,
    root: str,
    labels: LabelsTree,
    *,
    shown: str | None = None,
    stored: Stored | None = None,
) -> Found:
    """Return a file with its breed.

    Args:
        file: its path, below `root` or `root` itself.
        root: the given folder or file; the last part of a folder's name may name the breed.
        labels: of the files below `root`.
        shown, stored: as in `Found`, for a file that is not a local one.
    """
    breed, problem = _breed(file, root, labels)
    return Found(shown or file, breed, problem, stored)


def _breed(file: str, root: str, labels: LabelsTree) -> tuple[str | None, str | None]:
    folder, _, name = file.rpartition("/")
    written, alone = labels.of(name if file == root else file[len(root) + 1 :])
    if written is not None:
        return _key(written)
    if alone:
        return None, "the labels file does not name it"
    # A single file is judged by the folder it lies in, as if that had been given.
    known, own = _folder_label(folder, folder if file == root else root)
    return (known, None) if known is not None else _flat_or_new(name, own)


def _flat_or_new(name: str, folder: str | None) -> tuple[str | None, str | None]:
    flat = flat_label(name)
    if flat is not None and (key := _key(flat)[0]) in _KNOWN:
        return key, None
    if folder is not None and _key(folder)[0] not in NO_BREEDS:
        return _key(folder)
    if flat is not None:
        return _key(flat)
    if folder is not None:
        return None, (
            f"the folder {folder} names no breed: give each breed a folder, or put a "
            "labels.csv (id,breed) beside it"
        )
    return None, "neither a folder nor its name says the breed"


def flat_label(name: str) -> str | None:
    """Return what a flat name such as `german_shepherd_1690.jpg` calls its breed, or None.

    It is all before the last `_`; the names that cameras give (`IMG_1234.jpg`) say nothing.
    """
    label, separator, _ = Path(name).stem.rpartition("_")
    if not separator or not label or _CAMERA_WORDS.match(label.lower()):
        return None
    return label


def _columns(shown: str, header: Sequence[str]) -> tuple[str, str]:
    lowered = {name.strip().lower(): name for name in header if name}
    ids = [lowered[name] for name in _ID_COLUMNS if name in lowered]
    breeds = [lowered[name] for name in _BREED_COLUMNS if name in lowered]
    if not ids or not breeds:
        raise InputError(
            f"the labels file {shown} needs a header with `id` and `breed`; "
            f"it starts with {', '.join(header) or 'nothing'}"
        )
    return ids[0], breeds[0]


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


@lru_cache(maxsize=4096)
def _key(written: str) -> tuple[str | None, str | None]:
    """Return the key, or None and why there is none."""
    try:
        return normalise(written), None
    except InputError as error:
        return None, str(error)
