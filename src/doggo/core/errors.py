"""Every error that doggo raises on purpose.

    DoggoError                 one clear line: what, which value, what to do (exit code 1)
    ├── UsageError             the command or its options are wrong (exit code 2)
    ├── PhotoError             this picture cannot be used; carries a Rejection
    ├── InputError             the photos or labels given cannot make a model
    ├── StepError              the owner's processing step failed, or made no picture of a photo
    ├── StorageError           a bucket, a disk or the database refused
    ├── WeightsError           pre-trained weights are missing or not those of this network
    ├── BundleError            a bundle is incomplete, altered or does not answer
    ├── NoModelError           there is no production model yet
    ├── GateError              the gate refused a promotion; carries its reasons
    └── BusyError              the server's queue is full; carries retry_after_s

A message is for the person who must act on it. An `assert` is for our own invariants.
"""

from __future__ import annotations

from enum import StrEnum


class DoggoError(Exception):
    """A failure that one line explains."""


class UsageError(DoggoError):
    """The command line asks for something that does not exist or does not fit together."""


class Rejection(StrEnum):
    """Why a picture cannot be used: stable words, shown in tables and problem details."""

    EMPTY = "empty"  # no bytes at all
    TOO_MANY_BYTES = "too_many_bytes"  # over 20 MiB
    NOT_A_PICTURE = "not_a_picture"  # no format that we read
    TOO_MANY_PIXELS = "too_many_pixels"  # over 100 MP, 20,000 px a side, or the memory limit
    TOO_SLOW = "too_slow"  # would take over a second to decode
    TRUNCATED = "truncated"  # the file ends too early
    BROKEN = "broken"  # the format is known, the contents are damaged


class PhotoError(DoggoError):
    """This picture cannot be used.

    Attributes:
        rejection: the reason as a stable word.
    """

    def __init__(self, rejection: Rejection, message: str) -> None:
        super().__init__(message)
        self.rejection = rejection

    def __reduce__(self) -> tuple[type[PhotoError], tuple[Rejection, str]]:
        # Workers send it to their parent process.
        return (type(self), (self.rejection, str(self)))


class InputError(DoggoError):
    """The photos, labels or paths given cannot make what was asked for."""


class StepError(DoggoError):
    """The owner's processing step failed, or made of a photo what is no picture."""


class StorageError(DoggoError):
    """A bucket, the disk or the database refused to read or write."""


class WeightsError(DoggoError):
    """Pre-trained weights are missing, or are those of another network."""


class BundleError(DoggoError):
    """A bundle is incomplete, was altered after it was sealed, or fails its smoke test."""


class NoModelError(DoggoError):
    """Nothing is in production."""


class GateError(DoggoError):
    """The gate refused to move `production`.

    Attributes:
        reasons: one line for each check that failed.
    """

    def __init__(self, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class BusyError(DoggoError):
    """The queue is full; the caller should come back.

    Attributes:
        retry_after_s: seconds after which a retry is sensible.
    """

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__(f"busy: too many photos are waiting; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s
