"""The boxes of HEIC and AVIF files: where items lie and how large they are.

Owns reading the `meta` box. Knows nothing of codecs or what to keep.
Layouts: ISO/IEC 14496-12 (boxes, iloc, iinf) and 23008-12 (ispe).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from doggo.core.errors import PhotoError, Rejection

_MAX_BOXES = 5_000  # a 100 MP grid of 256 px tiles needs 1,600; libheif reads 1,000 items

_TRANSPARENCY = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
    b"urn:mpeg:avc:2015:auxid:1",
)


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, and where it, its contents and its end lie in the file."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the `meta` box and the file ranges (start, end) that hold it."""

    item_id: int
    kind: bytes
    extents: tuple[tuple[int, int], ...]


def _broken(why: str) -> PhotoError:
    return PhotoError(Rejection.BROKEN, f"this HEIC or AVIF file is damaged ({why})")


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes that lie fully within `data[start:end]`, stopping at the first that does not.

    Raises:
        PhotoError: BROKEN if there are absurdly many.
    """
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = end if size == 0 else start + size
        if stop < body or stop > end:
            return
        yield Box(kind, start, body, stop)
        start = stop
    raise _broken("too many boxes")


def child(data: bytes, parent: Box, kind: bytes, skip: int = 0) -> Box | None:
    """Return the first box of a kind within another, whose header has `skip` more bytes."""
    inside = boxes(data, parent.body + skip, parent.end)
    return next((box for box in inside if box.kind == kind), None)


def boxes_within(data: bytes, parents: list[Box]) -> list[Box]:
    """Return the boxes that lie within any of the parents.

    Raises:
        PhotoError: BROKEN if there are absurdly many in all.
    """
    found: list[Box] = []
    for parent in parents:
        found += boxes(data, parent.body, parent.end)
        if len(found) > _MAX_BOXES:
            raise _broken("too many boxes")
    return found


def meta_box(data: bytes) -> Box | None:
    """Return the file's `meta` box."""
    return next((box for box in boxes(data, 0, len(data)) if box.kind == b"meta"), None)


def properties_box(data: bytes, meta: Box) -> Box | None:
    """Return the `ipco` box: the properties that items share."""
    holder = child(data, meta, b"iprp", 4)
    return child(data, holder, b"ipco") if holder else None


@dataclass(frozen=True, slots=True)
class Info:
    """What the file says of its primary picture, upright.

    Attributes:
        samples: colour samples a pixel, 3 where the file does not say.
        deep: whether a sample has more than 8 bits.
        tiled: whether the primary picture is a grid of small ones, as phones write.
        transparent: whether a picture of the file is another's transparency.
    """

    width_px: int
    height_px: int
    samples: float
    deep: bool
    tiled: bool
    transparent: bool


def read_info(data: bytes) -> Info:
    """Return size and depth; the size is the largest that any picture in the file declares.

    Only the primary picture is decoded, but a hostile file may lie about which that is.

    Raises:
        PhotoError: BROKEN if the file declares no picture.
    """
    meta = meta_box(data)
    properties = properties_box(data, meta) if meta else None
    if meta is None or properties is None:
        raise _broken("it declares no picture")
    known = list(boxes(data, properties.body, properties.end))
    try:
        declared = [
            struct.unpack_from(">II", data, box.body + 4) for box in known if box.kind == b"ispe"
        ]
        chosen = _primary_properties(data, meta, known)
    except struct.error as error:
        raise _broken("its table of properties is cut short") from error
    primary = [
        struct.unpack_from(">II", data, box.body + 4) for box in chosen if box.kind == b"ispe"
    ]
    width_px, height_px = max(declared, key=lambda size: size[0] * size[1], default=(0, 0))
    if primary and primary[0][0] * primary[0][1] == width_px * height_px:
        width_px, height_px = primary[0]
    turns = [data[box.body] & 1 for box in chosen if box.kind == b"irot" and box.body < box.end]
    if sum(turns) % 2:
        width_px, height_px = height_px, width_px
    samples, deep = _depth(data, known)
    tiled = any(item.kind == b"grid" for item in items(data))
    transparent = any(  # of an item it says so in an `auxC`, of a film in an `auxi` box
        name in data[box.body : box.end]
        for box in boxes(data, 0, len(data))
        if box.kind in (b"meta", b"moov")
        for name in _TRANSPARENCY
    )
    return Info(width_px, height_px, samples, deep, tiled, transparent)


def _primary_properties(data: bytes, meta: Box, known: list[Box]) -> list[Box]:
    primary, holder = child(data, meta, b"pitm", 4), child(data, meta, b"iprp", 4)
    table = child(data, holder, b"ipma") if holder else None
    if primary is None or table is None:
        return []
    wanted = int.from_bytes(data[primary.body + 4 : primary.end])
    read = _Reader(data, table.body, table.end)
    version, flags = read.take(1), read.take(3)
    width, mask = (2, 0x7FFF) if flags & 1 else (1, 0x7F)
    for _ in range(_plausible(read.take(4))):
        item_id = read.take(2 if version < 1 else 4)
        count = read.take(1)
        if item_id != wanted:
            read.skip(width * count)
        else:
            numbers = [read.take(width) & mask for _ in range(count)]
            return [known[number - 1] for number in numbers if 0 < number <= len(known)]
    return []


def _depth(data: bytes, known: list[Box]) -> tuple[float, bool]:
    """The dearest layout among the decoder configurations (av1C 2.3.3, hvcC 8.3.3.1)."""
    layouts = {(True, True): 1.5, (True, False): 2.0}
    samples, deep = 0.0, False
    for box in known:
        if box.kind == b"av1C" and box.end - box.body >= 4:
            third = data[box.body + 2]
            deep |= bool(third & 0x40)
            layout = layouts.get((bool(third & 8), bool(third & 4)), 3.0)
            samples = max(samples, 1.0 if third & 0x10 else layout)
        elif box.kind == b"hvcC" and box.end - box.body >= 18:
            chroma, luma_bits = data[box.body + 16] & 3, (data[box.body + 17] & 7) + 8
            deep |= luma_bits > 8
            samples = max(samples, (1.0, 1.5, 2.0, 3.0)[chroma])
    return samples or 3.0, deep


def items(data: bytes) -> list[Item]:
    """Return the items of the `meta` box with their places.

    Raises:
        PhotoError: BROKEN if its tables are cut short.
    """
    meta = meta_box(data)
    if meta is None:
        return []
    try:
        kinds = _kinds(data, child(data, meta, b"iinf", 4))
        places = _places(data, child(data, meta, b"iloc", 4), child(data, meta, b"idat", 4))
    except struct.error as error:
        raise _broken("its table of contents is cut short") from error
    found = [Item(item_id, kinds.get(item_id, b""), place) for item_id, place in places.items()]
    claimed = sum(end - start for item in found for start, end in item.extents)
    if claimed > 4 * len(data):  # items may share bytes, but not all of them all bytes
        raise _broken("its items lie over each other")
    return found


def coded(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield what decoders of `kind` are given: each item of it, and the first sample of each film.

    Raises:
        PhotoError: BROKEN if a table is cut short.
    """
    for item in items(data):
        if item.kind == kind:
            yield b"".join(data[start:end] for start, end in item.extents)
    for film in (box for box in boxes(data, 0, len(data)) if box.kind == b"moov"):
        for track in boxes(data, film.body, film.end):
            if track.kind == b"trak":
                yield _first_sample(data, track, kind)


def _first_sample(data: bytes, track: Box, kind: bytes) -> bytes:
    table: Box | None = track
    for name in (b"mdia", b"minf", b"stbl"):
        table = child(data, table, name) if table else None
    if table is None:
        return b""
    parts = {box.kind: box.body + 4 for box in boxes(data, table.body, table.end)}
    try:
        (entry,) = struct.unpack_from("4s", data, parts[b"stsd"] + 8)
        if entry != kind:
            return b""
        if b"co64" in parts:
            _, start = struct.unpack_from(">IQ", data, parts[b"co64"])
        else:
            _, start = struct.unpack_from(">II", data, parts[b"stco"])
        size, _, first = struct.unpack_from(">III", data, parts[b"stsz"])
    except (KeyError, struct.error) as error:
        raise _broken("its table of frames is cut short") from error
    return data[start : start + (size or first)]


def _plausible(count: int) -> int:
    if count > _MAX_BOXES:
        raise _broken(f"a table of {count:,} entries")
    return count


def _kinds(data: bytes, info: Box | None) -> dict[int, bytes]:
    if info is None:
        return {}
    first = info.body + (6 if data[info.body] == 0 else 8)
    kinds = {}
    for entry in boxes(data, first, info.end):
        version = data[entry.body] if entry.body < entry.end else 0
        if entry.kind == b"infe" and version in (2, 3):
            layout = ">HH4s" if version == 2 else ">IH4s"
            item_id, _, kind = struct.unpack_from(layout, data, entry.body + 4)
            kinds[item_id] = kind
    return kinds


class _Reader:
    """Reads big-endian numbers of given widths one after another."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data, self._position, self._end = data, position, end

    def take(self, width: int) -> int:
        stop = self._position + width
        if stop > self._end:
            raise struct.error("past the end of its box")
        number = int.from_bytes(self._data[self._position : stop])
        self._position = stop
        return number

    def skip(self, width: int) -> None:
        self._position += width


def _places(
    data: bytes, location: Box | None, item_data: Box | None
) -> dict[int, tuple[tuple[int, int], ...]]:
    if location is None:
        return {}
    read = _Reader(data, location.body, location.end)
    version, _, widths = read.take(1), read.take(3), read.take(2)
    offset_w, length_w, base_w = widths >> 12, widths >> 8 & 15, widths >> 4 & 15
    index_w = widths & 15 if version else 0
    id_w = 2 if version < 2 else 4
    places, total = {}, 0
    for _ in range(_plausible(read.take(id_w))):
        item_id = read.take(id_w)
        method = read.take(2) & 15 if version else 0
        read.take(2)
        base, extents = read.take(base_w), []
        origin = item_data.body if method == 1 and item_data else 0
        count = read.take(2)
        total = _plausible(total + count)  # of all items: an extent may take no bytes in the file
        for _ in range(count):
            read.take(index_w)
            start = origin + base + read.take(offset_w)
            length = read.take(length_w) or len(data) - start
            extents.append((min(start, len(data)), max(0, min(start + length, len(data)))))
        if method < 2:
            places[item_id] = tuple(extents)
    return places
