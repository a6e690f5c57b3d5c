"""Long strings of a JSON text, set aside, so that parsing it stays quick and small.

Owns the search for them. A photo in JSON is one string of megabytes: a parser looks at each of
its characters while it holds the interpreter's lock, and hostile text of that size (numbers,
brackets) becomes twenty times as much memory. Here quotes are searched, not characters; a
string over `SHORT_BYTES` leaves a placeholder behind, and what is left must be small.

A placeholder is longer than any string that stays, so a client cannot write one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from doggo.serve.problems import ProblemError

SHORT_BYTES = 128
MOST_BYTES = 64 * 1024
_MOST_ESCAPED_QUOTES = 1000
_MOST_BACKSLASHES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """A JSON text without its long strings.

    Attributes:
        text: what is left, `MOST_BYTES` at most.
        long: the strings that were set aside, as they stand between their quotes.
    """

    text: bytes
    long: Sequence[bytes]

    def literal(self, value: str) -> bytes | None:
        """Return what a parsed string of `text` stands for; None if it is itself."""
        return self.long[int(value)] if len(value) > SHORT_BYTES else None


def set_aside(data: bytes) -> Skeleton:
    """Return the skeleton of a JSON text; whether it is JSON at all, its parser says.

    Raises:
        ProblemError: too much would be left.
    """
    left: list[bytes] = []
    long: list[bytes] = []
    left_bytes, kept_from, at = 0, 0, 0
    quotes = _Quotes(data)
    while (start := data.find(b'"', at)) >= 0 and (end := quotes.closing(start + 1)) >= 0:
        at = end + 1
        if end - start - 1 > SHORT_BYTES:
            left += (data[kept_from : start + 1], b"%0*d" % (SHORT_BYTES + 1, len(long)))
            left_bytes += start + 1 - kept_from + SHORT_BYTES + 1
            long.append(data[start + 1 : end])
            kept_from = end
        if left_bytes + at - kept_from > MOST_BYTES:
            raise _too_much()
    if left_bytes + len(data) - kept_from > MOST_BYTES:
        raise _too_much()
    left.append(data[kept_from:])
    return Skeleton(text=b"".join(left), long=long)


class _Quotes:
    """Finds where strings end; gives up on text that is made to be slow."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._escaped = 0

    def closing(self, at: int) -> int:
        """Return the place of the quote that ends the string whose text begins at `at`, or -1."""
        end = self._data.find(b'"', at)
        while end >= 0 and self._is_escaped(at, end):
            self._escaped += 1
            if self._escaped > _MOST_ESCAPED_QUOTES:
                raise _too_much()
            end = self._data.find(b'"', end + 1)
        return end

    def _is_escaped(self, at: int, end: int) -> bool:
        before = self._data[max(at, end - _MOST_BACKSLASHES) : end]
        backslashes = len(before) - len(before.rstrip(b"\\"))
        if backslashes == _MOST_BACKSLASHES:
            raise _too_much()
        return backslashes % 2 == 1


def _too_much() -> ProblemError:
    return ProblemError(
        "bad-request",
        f"the JSON around the photos has over {MOST_BYTES // 1024} KiB, or very many escapes: "
        "send fewer photos a request, or as binary data",
    )
