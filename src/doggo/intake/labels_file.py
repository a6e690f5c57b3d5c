"""What a labels file says: a CSV with the breed of each photo, and which files a line names.

Owns its columns and how a line finds its file. Reads no photo and looks into no folder: a path is
text here. Which labels file counts for which file is in `labels.py`.
"""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from doggo.core.errors import InputError
from doggo.intake.found import Ignored

_ID_COLUMNS = ("id", "filename", "filenames", "file", "path", "image")
_BREED_COLUMNS = ("breed", "label", "class")


@dataclass(frozen=True, slots=True)
class Labels:
    """A labels file. A line that gives a folder names one file, any other all of that name.

    Attributes:
        by_path: path, absolute or below a folder, with or without the file's ending → the breed
            as written. One that leads out of the labels file's folder (`../x/a.jpg`) is absolute.
        by_name: file name or stem → the breed as written.
        shown: the labels file itself, as it is called in messages; paths may start beside it.
        alone: whether a file that it does not name has no breed.
    """

    by_path: Mapping[str, str]
    by_name: Mapping[str, str]
    shown: str
    alone: bool = True

    def of(self, inside: str, place: str) -> tuple[str | None, bool]:
        """Return the breed as written of a file, and whether its name alone says so.

        Args:
            inside: its path below the folder that is taken in, or that the labels file rules.
            place: its whole path, or its URL.
        """
        for path in self._paths(inside, place):
            if path in self.by_path:
                return self.by_path[path], False
        for name in _spellings(posixpath.basename(inside)):
            if name in self.by_name:
                return self.by_name[name], True
        return None, False

    def without_file(self, files: Mapping[str, str]) -> Iterator[Ignored]:
        """Yield the lines that name none of these files: `inside` → `place`, as in `of`."""
        paths = {path for file in files.items() for path in self._paths(*file)}
        names = {name for path in files for name in _spellings(posixpath.basename(path))}
        for table, there in ((self.by_path, paths), (self.by_name, names)):
            for written in table:
                if written not in there:
                    yield Ignored(written, "in the labels file, but there is no such file")

    def _paths(self, inside: str, place: str) -> Iterator[str]:
        if self.by_path:
            whole, folder = posixpath.normpath(place), _beside(self.shown, "")
            for path in (whole, whole.removeprefix(f"{folder}/"), inside):
                yield from _spellings(path)


def read_labels(path: Path) -> Labels:
    """Return a labels file: a CSV with a header.

    The header names an `id` (or `filename`, `file`, `path`, `image`) and a `breed` (or `label`,
    `class`) column, as Kaggle's dog-breed-identification and the first doggo wrote them. An id
    with a folder is a path: absolute, below the folder that is taken in, or beside the labels
    file. Any other is a name or a stem, wherever the file lies.

    Raises:
        InputError: it cannot be read, lacks a column, or gives one file two breeds.
    """
    try:
        return parse_labels(path.read_bytes(), str(path.absolute()))
    except OSError as error:
        raise InputError(f"cannot read the labels file {path}: {error}") from error


def parse_labels(data: bytes, shown: str, *, alone: bool = True) -> Labels:
    """Return the labels in the bytes of a CSV.

    Args:
        shown: where it lies: an absolute path, or a URL.
        alone: nothing else names a breed.

    Raises:
        InputError: as `read_labels`.
    """
    by_path, by_name = dict[str, str](), dict[str, str]()
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        id_column, breed_column = _columns(shown, reader.fieldnames or [])
        for row in reader:
            written = (row[id_column] or "").strip()
            breed = (row[breed_column] or "").strip()
            if not written:
                continue
            table = by_path if "/" in written else by_name
            out = written.startswith("../")
            key = _beside(shown, written) if out else posixpath.normpath(written)
            if table.setdefault(key, breed) != breed:
                raise InputError(
                    f"{shown} line {reader.line_num}: {written!r} has two breeds, "
                    f"{table[key]!r} and {breed!r}; keep one"
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the labels file {shown}: {error}") from error
    return Labels(by_path, by_name, shown, alone)


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


def _beside(shown: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(shown), path))


def _spellings(path: str) -> tuple[str, str]:
    return path, posixpath.splitext(path)[0]
