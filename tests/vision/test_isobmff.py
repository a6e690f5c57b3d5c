import struct

import pytest
from tests.pictures import encode, picture

from doggo.core.errors import PhotoError, Rejection
from doggo.vision import isobmff
from doggo.vision.isobmff_metadata import blank_metadata


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


SIZE = box(b"ispe", bytes(4) + struct.pack(">II", 640, 480))


def heic(*tables: bytes, associations: bytes = b"") -> bytes:
    """A HEIC that declares 640 x 480 px and holds nothing but its tables."""
    properties = box(b"iprp", box(b"ipco", SIZE) + associations)
    return box(b"ftyp", b"heic\0\0\0\0heicmif1") + box(
        b"meta", bytes(4) + b"".join(tables) + properties
    )


def places_of(items: int, extents: int) -> bytes:
    """An `iloc` of version 0 whose offsets, lengths and bases take no bytes."""
    entries = b"".join(struct.pack(">HHH", number, 0, extents) for number in range(items))
    return box(b"iloc", bytes(6) + struct.pack(">H", items) + entries)


@pytest.mark.parametrize(("items", "extents"), [(200, 4_000), (3_000, 2), (1, 65_535)])
def test_places_that_take_no_bytes_are_counted_over_all_items(items: int, extents: int) -> None:
    with pytest.raises(PhotoError, match="entries") as caught:
        isobmff.read_info(heic(places_of(items, extents)))
    assert caught.value.rejection is Rejection.BROKEN


def test_places_of_an_ordinary_picture_are_found() -> None:
    data = encode(picture(), "HEIF")
    assert all(item.extents for item in isobmff.items(data))
    assert (isobmff.read_info(data).width_px, isobmff.read_info(data).height_px) == (400, 300)


def test_the_properties_of_other_items_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = isobmff._Reader.take

    def counted(self: isobmff._Reader, width: int) -> int:
        taken.append(width)
        return take(self, width)

    turned = box(b"irot", b"\1")
    others = b"".join(struct.pack(">HB", number, 255) + bytes(255) for number in range(2, 900))
    table = bytes(4) + struct.pack(">I", 899) + others + struct.pack(">HBBB", 1, 2, 1, 2)
    properties = box(b"iprp", box(b"ipco", SIZE + turned) + box(b"ipma", table))
    meta = box(b"meta", bytes(4) + box(b"pitm", bytes(4) + b"\0\1") + properties)
    monkeypatch.setattr(isobmff._Reader, "take", counted)
    info = isobmff.read_info(box(b"ftyp", b"heic\0\0\0\0heic") + meta)
    assert (info.width_px, info.height_px) == (480, 640)
    assert len(taken) < 2_000


def test_the_boxes_of_all_tracks_are_counted_together() -> None:
    track = box(b"trak", box(b"free", b"") * 400)
    blank_metadata(encode(picture(), "HEIF") + box(b"moov", track * 10))
    with pytest.raises(PhotoError, match="too many boxes"):
        blank_metadata(encode(picture(), "HEIF") + box(b"moov", track * 20))
    with pytest.raises(PhotoError, match="too many boxes"):
        blank_metadata(encode(picture(), "HEIF") + box(b"moov", track) * 20)
