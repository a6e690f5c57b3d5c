"""Removes what a picture tells about its maker, place and time, without touching its pixels.

Owns which parts of each format stay. Stays: the pixels, the colour profile, the orientation.
Goes: EXIF with GPS and thumbnails, XMP, IPTC, comments, maker notes, second pictures, films and
whatever was appended to the file. Knows nothing of storage.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from doggo.core.errors import PhotoError, Rejection
from doggo.vision import jpeg, png, webp
from doggo.vision.exif import UPRIGHT, minimal_exif
from doggo.vision.header import MAX_BYTES, Format, Header
from doggo.vision.isobmff_metadata import blank_metadata

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Buffer

# acTL, fcTL and fdAT, the film of an animated PNG, are not among them.
_PNG_KEPT = frozenset(
    {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"}
)
_JPEG_KEPT = frozenset(
    {jpeg.SOS, jpeg.DQT, jpeg.DHT, jpeg.DRI, 0xCC, 0xDC, 0xDE, 0xDF} | jpeg.FRAMES
)
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_VP8X_BYTES = 10
_WEBP_EXIF_FLAG, _WEBP_XMP_FLAG = 0x08, 0x04


def without_metadata(data: bytes, header: Header) -> bytes:
    """Return a file without metadata; GIF, TIFF and BMP as they are.

    Lossless: its pixels are those of `data` bit for bit. Doing it again changes nothing. This is
    what decoders are given, so that they never meet metadata; `photo.prepare` keeps it.

    Args:
        header: what `parse_header` said of the same bytes.

    Raises:
        PhotoError, struct.error: if the file's structure is damaged.
    """
    found = header.format
    if header.anatomy is not None:
        return _strip_jpeg(data, header.anatomy)
    if found is Format.PNG:
        return _strip_png(data)
    if found is Format.WEBP:
        return _strip_webp(data)
    if found in (Format.HEIF, Format.AVIF):
        return blank_metadata(data)
    return data


def _strip_jpeg(data: bytes, anatomy: jpeg.Anatomy) -> bytes:
    orientation = anatomy.orientation
    parts = [b"\xff\xd8"]
    kept = [segment for segment in anatomy.segments if _keeps(data, segment)]
    if kept and kept[0].marker == jpeg.APP0:
        parts.append(b"\xff\xe0\0\x10" + kept.pop(0).body(data)[:12] + b"\0\0")  # no thumbnail
    if orientation != UPRIGHT:
        body = jpeg.EXIF_HEADER + minimal_exif(orientation)
        parts.append(b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
    parts += [data[s.start : s.end] for s in kept if s.marker != jpeg.APP0]
    return b"".join([*parts, b"\xff\xd9"])


def _keeps(data: bytes, segment: jpeg.Segment) -> bool:
    if segment.marker == jpeg.APP0:
        return segment.starts_with(data, b"JFIF\0") and segment.end - segment.start >= 18
    if segment.marker == jpeg.APP2:
        return segment.starts_with(data, jpeg.ICC_HEADER)
    if segment.marker == jpeg.APP14:
        return segment.starts_with(data, b"Adobe")
    return segment.marker in _JPEG_KEPT


def _strip_png(data: bytes) -> bytes:
    chunks = png.split_chunks(data)
    kept, profiles = [], 0
    for chunk in chunks:
        profiles += chunk.kind == b"iCCP"
        # The first profile is the one (libpng): a hostile file has thousands to be unpacked.
        if chunk.kind in _PNG_KEPT and (chunk.kind != b"iCCP" or profiles == 1):
            kept.append(data[chunk.start : chunk.end])
    orientation = png.orientation_of(data, chunks)
    if orientation != UPRIGHT:
        kept.insert(1, png.make_chunk(b"eXIf", minimal_exif(orientation)))
    return b"".join([png.SIGNATURE, *kept])


def _strip_webp(data: bytes) -> bytes:
    chunks = webp.split_chunks(data)
    parts = [(c.kind, data[c.start : c.end]) for c in chunks if c.kind in _WEBP_KEPT]
    if not parts or parts[0][0] != b"VP8X" or len(parts[0][1]) != _VP8X_BYTES:
        return webp.join_chunks(parts)
    orientation = webp.orientation_of(data, chunks)
    flags = parts[0][1][0] & ~(_WEBP_EXIF_FLAG | _WEBP_XMP_FLAG)
    if orientation != UPRIGHT:
        flags |= _WEBP_EXIF_FLAG
        parts.append((b"EXIF", minimal_exif(orientation)))
    parts[0] = (b"VP8X", bytes([flags]) + parts[0][1][1:])
    return webp.join_chunks(parts)


class _Bounded(io.BytesIO):
    """Stops a PNG that grows beyond what doggo reads."""

    def write(self, part: Buffer) -> int:
        if self.tell() + memoryview(part).nbytes > MAX_BYTES:
            raise PhotoError(
                Rejection.TOO_MANY_BYTES,
                f"as a lossless PNG this picture has over {MAX_BYTES // 2**20} MiB: "
                "save it as a JPEG",
            )
        return super().write(part)


def as_png(frame: Image.Image) -> bytes:
    """Return the clean form of a format that has none of its own.

    Raises:
        PhotoError: it would be over 20 MiB.
    """
    buffer = _Bounded()
    frame.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
