"""The official lists of Stanford Dogs: which photo is for the test and which is not.

Owns the reading of `lists.tar`. Knows nothing of what the split makes of it (`split.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from doggo.core.errors import InputError, UsageError
from doggo.core.records import Split
from doggo.preprocess.matlab import cell_texts
from doggo.storage.members import entries

_LISTS = {"train_list.mat": Split.TRAIN, "test_list.mat": Split.TEST}
_MAX_BYTES = 4 * 2**20  # the real ones have 0.2 MB


def read_lists(path: Path) -> Mapping[str, Split]:
    """Return file name without ending, such as `n02085620_5927`, → `train` or `test`.

    The names are unique in ImageNet, so folders are of no account.

    Args:
        path: `lists.tar`, or a folder with `train_list.mat` and `test_list.mat`.

    Raises:
        UsageError: there is no such file.
        InputError: a list is missing or damaged, or names a photo twice.
    """
    if not path.exists():
        raise UsageError(f"no such file or folder: {path}")
    found: dict[str, Split] = {}
    matrices = dict(_matrices(path))
    for name, split in _LISTS.items():
        if name not in matrices:
            raise InputError(f"{path} has no {name}: give the lists.tar of Stanford Dogs")
        for stem in _stems(matrices[name], f"{path}/{name}"):
            if found.setdefault(stem, split) is not split:
                raise InputError(f"{path}: {stem} is in both lists; get lists.tar again")
    return found


def _matrices(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            for name in _LISTS:
                if (path / name).is_file():
                    _limited((path / name).stat().st_size, path, name)
                    yield name, (path / name).read_bytes()
            return
        for entry in entries(path, None):
            name = PurePosixPath(entry.name).name
            if entry.member is not None and name in _LISTS:
                _limited(entry.member.size_bytes, path, name)
                yield name, b"".join(entry.member.blocks())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _limited(size_bytes: int, path: Path, name: str) -> None:
    if size_bytes > _MAX_BYTES:
        raise InputError(f"{path}/{name} has {size_bytes:,} bytes: that is not Stanford's list")


def _stems(data: bytes, shown: str) -> list[str]:
    try:
        names = cell_texts(data, "file_list")
    except ValueError as error:
        raise InputError(f"{shown} is not a list of Stanford Dogs: {error}") from error
    return [PurePosixPath(name).stem for name in names]
