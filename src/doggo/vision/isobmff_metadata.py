"""Overwrites metadata within HEIC and AVIF files, so that no offset moves.

Owns which boxes and items are metadata. Knows nothing of pixels.
"""

from __future__ import annotations

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.exif import empty_exif
from doggo.vision.isobmff import (
    Box,
    Item,
    boxes,
    boxes_within,
    items,
    meta_box,
    properties_box,
)

_KEPT_TOP_LEVEL = frozenset({b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip"})
_METADATA_ITEMS = frozenset({b"Exif", b"mime", b"uri "})
_METADATA_PROPERTIES = frozenset({b"udes", b"altt", b"crtt", b"mdft", b"uuid"})
_EMPTY_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def blank_metadata(data: bytes) -> bytes:
    """Return the file with EXIF, XMP, other descriptions and appended films overwritten.

    Every offset stays where it was; an EXIF item becomes a valid empty one. Bytes of `mdat`
    that belong to no item are zeroed, what follows the last box is cut off.

    Raises:
        PhotoError: BROKEN if the tables cannot be read, or overlap what they describe.
    """
    clean = _blanked(data)
    # Damaged tables can place metadata inside themselves or inside the picture: then what is
    # left reads differently from what was read.
    if _blanked(clean) != clean:
        raise PhotoError(
            Rejection.BROKEN, "this picture's tables are damaged: save or export it again"
        )
    return clean


def _blanked(data: bytes) -> bytes:
    clean = bytearray(data)
    top = list(boxes(data, 0, len(data)))
    for box in top:
        if box.kind not in _KEPT_TOP_LEVEL:
            _free(clean, box)
    _blank_user_data(clean, data, [box for box in top if box.kind == b"moov"])
    meta = meta_box(data)
    properties = properties_box(data, meta) if meta else None
    if properties is not None:
        for box in boxes(data, properties.body, properties.end):
            if box.kind in _METADATA_PROPERTIES:
                _free(clean, box)
    found = items(data)
    if not any(box.kind == b"moov" for box in top):  # a film's samples are no items
        _blank_unclaimed(clean, [box for box in top if box.kind == b"mdat"], found)
    for item in found:
        if item.kind in _METADATA_ITEMS:
            _blank_item(clean, item)
    return bytes(clean[: top[-1].end if top else 0])


def _free(clean: bytearray, box: Box) -> None:
    clean[box.start + 4 : box.start + 8] = b"free"
    clean[box.body : box.end] = bytes(box.end - box.body)


def _blank_user_data(clean: bytearray, data: bytes, films: list[Box]) -> None:
    inside = boxes_within(data, films)
    tracks = [box for box in inside if box.kind == b"trak"]
    for box in [*inside, *boxes_within(data, tracks)]:
        if box.kind in (b"udta", b"meta", b"uuid"):
            _free(clean, box)


def _blank_item(clean: bytearray, item: Item) -> None:
    filling, pad = b"", b" "
    if item.kind == b"Exif":
        filling, pad = bytes(4) + empty_exif(), b"\0"
    elif item.kind == b"mime":
        filling = _EMPTY_XMP
    if len(item.extents) != 1 or len(filling) > item.extents[0][1] - item.extents[0][0]:
        filling = b""
    for start, end in item.extents:
        if end > start:
            clean[start:end] = filling.ljust(end - start, pad)


def _blank_unclaimed(clean: bytearray, media: list[Box], found: list[Item]) -> None:
    """Zero what no item claims; media boxes and gaps are both in order, so one sweep does."""
    gaps, position = [], 0
    for start, end in sorted(extent for item in found for extent in item.extents):
        if start > position:
            gaps.append((position, start))
        position = max(position, end)
    gaps.append((position, len(clean)))
    at = 0
    for box in media:
        while at < len(gaps) and gaps[at][1] <= box.body:
            at += 1
        here = at
        while here < len(gaps) and gaps[here][0] < box.end:
            start, end = max(gaps[here][0], box.body), min(gaps[here][1], box.end)
            clean[start:end] = bytes(max(0, end - start))
            here += 1
