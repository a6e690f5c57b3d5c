"""What the operating system refuses, in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error, explained


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; free some space and run the same command again"),
        (errno.EDQUOT, "the disk is full; free some space and run the same command again"),
        (errno.EACCES, "permission denied; check the owner and mode of that path"),
        (errno.EROFS, "the disk is read-only"),
        (errno.ENOENT, "it is not there"),
        (errno.ENOTDIR, "a file is where a folder should be"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_number_is_said_in_words(number: int, words: str) -> None:
    assert explain_os_error(OSError(number, os.strerror(number))) == words


def test_one_without_a_number_says_what_it_says() -> None:
    assert explain_os_error(OSError("the cable is out")) == "the cable is out"


def test_the_line_says_what_was_being_done_and_keeps_the_cause(tmp_path: Path) -> None:
    said = pytest.raises(StorageError, match=r"^cannot read it: it is not there$")
    with said as raised, explained("read it"):
        (tmp_path / "nothing").read_bytes()
    assert isinstance(raised.value.__cause__, FileNotFoundError)


def test_what_is_not_the_operating_systems_passes() -> None:
    with pytest.raises(ValueError, match="mine"), explained("read it"):
        raise ValueError("mine")
