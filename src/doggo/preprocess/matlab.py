"""The texts in a cell array of a MATLAB 5 file: as much of the format as a list of names needs.

Owns the walk over a file's elements. scipy reads the whole format, but a damaged file can make its
compiled reader crash the process (found by flipping bytes, scipy 1.17.1); this one raises.

Source: MathWorks, "MAT-File Format", chapter 1, level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from math import prod
from typing import NamedTuple

_HEADER_BYTES = 128
_MAX_INFLATED_BYTES = 32 * 2**20  # Stanford's lists have under 10
_INT8, _UINT8, _UINT16, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8, _UTF16 = (
    1, 2, 4, 5, 6, 14, 15, 16, 17,
)  # fmt: skip
_CELL, _CHAR = 1, 4


class _Matrix(NamedTuple):
    kind: int
    shape: tuple[int, ...]
    name: str
    parts: Iterator[tuple[int, memoryview]]


def cell_texts(data: bytes, variable: str) -> list[str]:
    """Return the texts of a cell array, in MATLAB's order.

    Raises:
        ValueError: it is no MATLAB 5 file, it is damaged, or the variable is not an array of texts.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if order is None:
        raise ValueError("it is no MATLAB 5 file")
    for kind, body in _elements(memoryview(data)[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            kind, body = _first(_elements(memoryview(_inflate(body)), order))  # noqa: PLW2901
        matrix = _matrix(kind, body, order)
        if matrix.name == variable:
            return _texts(matrix, order)
    raise ValueError(f"it has no variable {variable}")


def _texts(cells: _Matrix, order: str) -> list[str]:
    if cells.kind != _CELL:
        raise ValueError(f"{cells.name} is not an array of texts")
    texts = [_text(_matrix(kind, body, order), order) for kind, body in cells.parts]
    if len(texts) != prod(cells.shape):
        raise ValueError(f"{cells.name} has {len(texts)} cells and says {cells.shape}")
    return texts


def _text(matrix: _Matrix, order: str) -> str:
    if matrix.kind != _CHAR or len(matrix.shape) != 2 or matrix.shape[0] != 1:
        raise ValueError("a cell is not a line of text")
    kind, body = _first(matrix.parts)
    if kind in (_UINT16, _UTF16):
        return bytes(body).decode("utf-16-le" if order == "<" else "utf-16-be")
    if kind in (_INT8, _UINT8, _UTF8):
        return bytes(body).decode("utf-8")
    raise ValueError(f"a text is kept in an unknown way ({kind})")


def _matrix(kind: int, body: memoryview, order: str) -> _Matrix:
    parts = _elements(body, order)
    head = list(islice(parts, 3)) if kind == _MATRIX else []
    if [kind for kind, _ in head] != [_UINT32, _INT32, _INT8] or len(head[0][1]) != 8:
        raise ValueError("an array has no head")
    flags, shape, name = (part for _, part in head)
    shape_words = struct.unpack(f"{order}{len(shape) // 4}i", shape[: len(shape) // 4 * 4])
    array_class = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    return _Matrix(array_class, shape_words, bytes(name).decode("ascii"), parts)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, bytes) of the elements that follow one another in `data`."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError("it is cut off")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start, room = at + 8, size if kind == _COMPRESSED else -(-size // 8) * 8
        if kind >> 16:  # a small element: its size, type and bytes share eight bytes
            kind, size, start, room = kind & 0xFFFF, kind >> 16, at + 4, 4
        if size > room or start + size > len(data):
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]
        at = start + room


def _first(elements: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    found = next(elements, None)
    if found is None:
        raise ValueError("an element is missing")
    return found


def _inflate(body: memoryview) -> bytes:
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(body, _MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise ValueError("a part of it is damaged") from error
    if not inflate.eof:
        raise ValueError("a part of it is cut off, or far too large")
    return data
