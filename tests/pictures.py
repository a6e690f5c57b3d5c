"""Pictures drawn for the tests, in every format that doggo reads."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageFilter, PngImagePlugin

from doggo.vision.photo import prepare

SECRETS = (b"Zanzibar", b"DoggoCam 3000", b"-6.1659", b"taken by Ada")
_GPS_LATITUDE, _GPS_LONGITUDE = 2, 4


@lru_cache
def picture(width_px: int = 400, height_px: int = 300, seed: int = 1) -> Image.Image:
    """A smooth, colourful, asymmetric picture: no two of its eight turns are alike."""
    rng = np.random.default_rng(seed)
    coarse_HWC = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse_HWC).resize((width_px, height_px), Image.Resampling.BICUBIC)
    return smooth.filter(ImageFilter.GaussianBlur(1))


def exif(orientation: int = 1) -> bytes:
    """EXIF that tells who, where and with what, and the orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = SECRETS[1].decode()
    tags[0x010E] = SECRETS[0].decode()
    tags[0x013B] = SECRETS[3].decode()
    gps = tags.get_ifd(0x8825)
    gps[1], gps[3] = "S", "E"
    gps[_GPS_LATITUDE], gps[_GPS_LONGITUDE] = (6.0, 9.0, 57.0), (39.0, 12.0, 9.0)
    return tags.tobytes()


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b"<rdf:Description>Zanzibar -6.1659 taken by Ada</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file of a kind: Pillow's format name, or HEIF."""
    buffer = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(buffer, quality=90, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


@lru_cache
def telling(kind: str, orientation: int = 1) -> bytes:
    """A file of a kind that carries every kind of metadata that it can."""
    image, tags = picture(), exif(orientation)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "taken by Ada")
    notes.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=False)
    options: dict[str, dict[str, object]] = {
        "JPEG": {"quality": 90, "exif": tags, "xmp": XMP, "comment": b"taken by Ada"},
        "PNG": {"pnginfo": notes, "exif": tags},
        "WEBP": {"quality": 90, "exif": tags, "xmp": XMP},
        "GIF": {"comment": b"taken by Ada"},
        "TIFF": {"tiffinfo": {270: "Zanzibar", 305: "DoggoCam 3000", 274: orientation}},
        "BMP": {},
        "AVIF": {"exif": tags, "xmp": XMP},
        "HEIF": {"exif": tags, "xmp": XMP},
    }
    appended = {
        "JPEG": b"\xff\xd8Zanzibar\xff\xd9 a second picture, taken by Ada",
        "PNG": b"taken by Ada",
        "HEIF": b"\0\0\0\x14mpvdtaken by Ada",
    }
    return encode(image, kind, **options[kind]) + appended.get(kind, b"")


KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")


def matrix_profile(
    red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...]
) -> bytes:
    """An ICC 2 RGB display profile: three primaries as XYZ (D50), gamma 2.2."""

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    bodies = {
        b"desc": _icc_name(),
        b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50),
        b"rXYZ": b"XYZ " + bytes(4) + _fixed(red),
        b"gXYZ": b"XYZ " + bytes(4) + _fixed(green),
        b"bXYZ": b"XYZ " + bytes(4) + _fixed(blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _icc_profile(b"mntrRGB XYZ ", bodies)


def ink_profile(colours: Mapping[tuple[int, ...], tuple[int, int, int]]) -> bytes:
    """An ICC 2 CMYK printer profile.

    Args:
        colours: the sRGB colour of each of the 16 ways to lay four full inks on each other.
    """
    corners = [colours[inks] for inks in itertools.product((0, 1), repeat=4)]
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    row = ImageCms.applyTransform(
        Image.fromarray(np.array([corners], np.uint8)), to_lab, inPlace=False
    )
    # Pillow keeps a and b as signed bytes, a profile with 128 added.
    table_NC = np.asarray(row)[0] ^ np.array([0, 128, 128], np.uint8)
    straight = bytes(range(256))
    matrix = _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix
    lut += straight * 4 + table_NC.tobytes() + straight * 3
    bodies = {b"desc": _icc_name(), b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50), b"A2B0": lut}
    return _icc_profile(b"prtrCMYKLab ", bodies)


_D50 = (0.9642, 1.0, 0.8249)


def _fixed(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _icc_name() -> bytes:
    name = b"Drawn for a test\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(79)


def _icc_profile(kind: bytes, bodies: Mapping[bytes, bytes]) -> bytes:
    table, blob = b"", b""
    for tag, body in bodies.items():
        table += tag + struct.pack(">II", 132 + 12 * len(bodies) + len(blob), len(body))
        blob += body + bytes(-len(body) % 4)
    header = (
        bytes(8)
        + struct.pack(">I", 0x02400000)
        + kind
        + bytes(12)
        + b"acsp"
        + bytes(28)
        + _fixed(_D50)
        + bytes(48)
    )
    body = header[4:] + struct.pack(">I", len(bodies)) + table + blob
    return struct.pack(">I", len(body) + 4) + body


def stripped(data: bytes) -> tuple[bytes, str]:
    """A file as intake keeps it, without metadata, and what its name ends in."""
    prepared = prepare(data)
    return prepared.clean, prepared.extension
