"""The anatomy of a JPEG file: its segments, its frame, its colour profile, its orientation.

Owns finding these without decoding. Knows nothing of pixels, limits or what to keep.
Marker numbers and layouts: ITU-T T.81 annex B.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.exif import UPRIGHT, read_orientation
from doggo.vision.refusal import truncated

SOI, EOI, SOS, DQT, DHT, DRI, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}  # SOFn
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
ICC_HEADER = b"ICC_PROFILE\0"
EXIF_HEADER = b"Exif\0\0"
# Inside entropy-coded data 0xFF is followed by 0x00 or a restart marker; 0xFF may also repeat.
_NEXT_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_MAX_SEGMENTS = 5_000  # a full ICC profile needs 255, large XMP a few hundred


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment: `data[start:end]`, with the entropy-coded data that follows an SOS."""

    marker: int
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        """The segment's contents after its marker and length."""
        (length,) = struct.unpack_from(">H", data, self.start + 2)
        return data[self.start + 4 : self.start + 2 + length]

    def starts_with(self, data: bytes, prefix: bytes) -> bool:
        """Whether the contents begin with `prefix`."""
        return data.startswith(prefix, self.start + 4)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the SOF segment says; `sampling` is (horizontal, vertical) of each component."""

    marker: int
    precision_bits: int
    width_px: int
    height_px: int
    sampling: tuple[tuple[int, int], ...]
    component_ids: tuple[int, ...]

    @property
    def component_samples(self) -> tuple[float, ...]:
        """Samples of each component for a pixel: 1 or, when subsampled, less."""
        widest = max(h for h, _ in self.sampling) * max(v for _, v in self.sampling)
        return tuple(h * v / widest for h, v in self.sampling)

    @property
    def samples(self) -> float:
        """Samples a pixel: 1.5 for 4:2:0, 3 for 4:4:4."""
        return sum(self.component_samples)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What one reading of a file found; `profile` is the ICC profile, if there is a whole one."""

    segments: list[Segment]
    frame: Frame
    orientation: int
    profile: bytes | None


def read_anatomy(data: bytes) -> Anatomy:
    """Return the parts of a JPEG file.

    Raises:
        PhotoError: as `split_segments` and `find_frame`.
    """
    segments = split_segments(data)
    return Anatomy(
        segments=segments,
        frame=find_frame(data, segments),
        orientation=orientation_of(data, segments),
        profile=profile_of(data, segments),
    )


def split_segments(data: bytes) -> list[Segment]:
    """Return the segments between SOI and the first EOI, both left out.

    Raises:
        PhotoError: TRUNCATED if the file ends before an EOI, BROKEN if it is no sane JPEG.
    """
    segments: list[Segment] = []
    position = 2
    while found := _NEXT_MARKER.search(data, position):
        start, marker = found.start(), found[1][0]
        if segments and segments[-1].marker == SOS:
            segments[-1] = Segment(SOS, segments[-1].start, start)
        if marker == EOI:
            return segments
        position = _end_of_segment(data, start)
        segments.append(Segment(marker, start, position))
        if len(segments) > _MAX_SEGMENTS:
            raise PhotoError(
                Rejection.TOO_SLOW,
                f"this JPEG has more than {_MAX_SEGMENTS:,} segments: save it again",
            )
    raise truncated("JPEG")


def _end_of_segment(data: bytes, start: int) -> int:
    if start + 4 > len(data):
        raise truncated("JPEG")
    (length,) = struct.unpack_from(">H", data, start + 2)
    if length < 2:
        raise PhotoError(Rejection.BROKEN, "this JPEG is damaged (a segment without length)")
    if start + 2 + length > len(data):
        raise truncated("JPEG")
    return start + 2 + int(length)


def find_frame(data: bytes, segments: list[Segment]) -> Frame:
    """Return the one frame of the file.

    Raises:
        PhotoError: BROKEN if there is none, more than one, or it makes no sense, or is lossless.
    """
    frames = [segment for segment in segments if segment.marker in FRAMES]
    if len(frames) != 1:
        raise PhotoError(Rejection.BROKEN, f"this JPEG is damaged ({len(frames)} frame headers)")
    if frames[0].marker in LOSSLESS:
        # libjpeg-turbo promises to scale these, then writes all of it past the end of our array.
        raise PhotoError(
            Rejection.BROKEN, "this JPEG is of a rare kind (lossless): save it as a plain JPEG"
        )
    body = frames[0].body(data)
    try:
        precision_bits, height_px, width_px, count = struct.unpack_from(">BHHB", body)
        ids = tuple(body[6 + 3 * index] for index in range(count))
        factors = [body[7 + 3 * index] for index in range(count)]
    except (struct.error, IndexError) as error:
        raise PhotoError(Rejection.BROKEN, "this JPEG is damaged (short frame header)") from error
    sampling = tuple((factor >> 4, factor & 15) for factor in factors)
    if not width_px or not height_px or not sampling or not all(h and v for h, v in sampling):
        raise PhotoError(
            Rejection.BROKEN, f"this JPEG is damaged (size {width_px} x {height_px} px)"
        )
    return Frame(frames[0].marker, precision_bits, width_px, height_px, sampling, ids)


def scans(data: bytes, segments: list[Segment]) -> list[bytes]:
    """Return the component ids of each scan, a byte each."""
    bodies = [segment.body(data) for segment in segments if segment.marker == SOS]
    return [body[1 : 1 + 2 * body[0] : 2] for body in bodies]


def scan_samples(scans: list[bytes], frame: Frame) -> float:
    """Return how many samples a pixel all scans together visit: what decoding time grows with."""
    weights: dict[int, float] = {}
    for name, samples in zip(frame.component_ids, frame.component_samples, strict=True):
        weights[name] = max(samples, weights.get(name, 0.0))  # a hostile file repeats ids
    return sum(weights.get(name, 0.0) for ids in scans for name in ids)


def orientation_of(data: bytes, segments: list[Segment]) -> int:
    """Return the orientation of the first EXIF segment, 1 if there is none."""
    for segment in segments:
        if segment.marker == APP1 and segment.starts_with(data, EXIF_HEADER):
            return read_orientation(segment.body(data))
    return UPRIGHT


def profile_of(data: bytes, segments: list[Segment]) -> bytes | None:
    """Return the embedded ICC profile, or None if there is none or a part is missing."""
    bodies = [
        segment.body(data)
        for segment in segments
        if segment.marker == APP2 and segment.starts_with(data, ICC_HEADER)
    ]
    chunks = sorted((body[12], body[13], body[14:]) for body in bodies if len(body) > 14)
    if not chunks or [number for number, _, _ in chunks] != list(range(1, chunks[0][1] + 1)):
        return None
    return b"".join(part for _, _, part in chunks)
