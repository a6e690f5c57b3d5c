"""Which breed a file is filed under: by a labels file, its folders, or its own name.

Owns the rules and their order; what a labels file says is in `labels_file.py`. Reads no photo and
looks into no folder: a path is text here, so the rules are the same for folders, archives and
buckets.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from doggo.core.breeds import BREEDS, normalise
from doggo.core.errors import InputError
from doggo.intake.found import Found, Ignored, Stored
from doggo.intake.labels_file import Labels, parse_labels

LABELS_FILE = "labels.csv"
SEED_LABELS_FILE = "meta_data.csv"
"""As `doggo preprocess` writes it, and the first doggo did (by listing: it may be incomplete)."""

_File = TypeVar("_File")
_LABELS_FILES = (LABELS_FILE, SEED_LABELS_FILE)
_KNOWN = frozenset(BREEDS)
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


@dataclass(slots=True)
class LabelsTree:
    """The labels files of one tree of folders; each rules the folder that it lies in.

    Attributes:
        by_folder: the path of a folder below the top, empty for the top, → its labels.
    """

    by_folder: dict[str, Labels] = field(default_factory=dict)

    def of(self, inside: str, place: str) -> _Label | None:
        """Return what a labels file says of a file; None: the rest of its path may name a breed.

        The nearest labels file above a file comes first. One that is not alone leaves the files
        that it does not name to those above it.

        Args:
            inside: the file's path below the top.
            place: its whole path, or its URL.
        """
        folder = inside
        while folder and self.by_folder:
            folder = folder.rpartition("/")[0]
            labels = self.by_folder.get(folder)
            if labels is not None:
                written, by_name = labels.of(_below(folder, inside), place)
                if written is not None or labels.alone:
                    return _Label(written, labels.shown if by_name else None)
        return None

    def without_file(self, files: Mapping[str, str]) -> Iterator[Ignored]:
        """Yield the lines that name none of these files: path below the top → whole path."""
        for folder, labels in self.by_folder.items():
            start = f"{folder}/" if folder else ""
            yield from labels.without_file(
                {path[len(start) :]: at for path, at in files.items() if path.startswith(start)}
            )


class _Label(NamedTuple):
    """The breed as written, None if there is none, and the labels file that knows but the name."""

    written: str | None
    named_by: str | None


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
    place = shown or file
    inside = posixpath.basename(file) if file == root else file[len(root) + 1 :]
    label = labels.of(inside, place)
    if label is None:
        return Found(place, *_unlabelled(file, root), stored)
    if label.written is None:
        return Found(place, None, "the labels file does not name it", stored)
    return Found(place, *_key(label.written), stored, label.named_by)


def unambiguous(files: Sequence[Found]) -> list[Found]:
    """Return these files; of several that a labels file names by one name, none has a breed."""
    places = defaultdict[tuple[str, str], set[str]](set)
    for found in files:
        if found.named_by is not None:
            places[_named(found)].add(found.path)
    return [
        replace(found, breed=None, problem=_ambiguous(found, len(places[_named(found)])))
        if found.named_by is not None and len(places[_named(found)]) > 1
        else found
        for found in files
    ]


def _named(found: Found) -> tuple[str, str]:
    return found.named_by or "", posixpath.basename(found.path)


def _ambiguous(found: Found, count: int) -> str:
    name = posixpath.basename(found.path)
    return (
        f"{count} files are called {name}, and {found.named_by} does not say which of them it "
        f"means: write the path, such as {'/'.join(found.path.split('/')[-2:])}"
    )


def _unlabelled(file: str, root: str) -> tuple[str | None, str | None]:
    """Return the breed that a file's folders or its name say, or None and why there is none."""
    folder, _, name = file.rpartition("/")
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
