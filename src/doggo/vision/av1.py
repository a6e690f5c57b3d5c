"""What the headers of an AV1 stream say: how large its frames can be, and their samples.

Owns reading them up to there. Knows nothing of the files that carry streams, nor of limits.
Source: AV1 Bitstream & Decoding Process Specification 1.0.0 with Errata 1, sections 5.3 to 5.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SEQUENCE, _FRAMES = 1, frozenset({3, 6, 7})  # types of units (6.2.2)
_KEY_FRAME, _SWITCH_FRAME = 0, 3
_SELECT = 2  # each frame chooses for itself
_SRGB_IDENTITY = (1, 13, 0)
_MAX_UNITS = 10_000  # a 100 MP grid of 512 px tiles has about 1,000; 40 us each
_HEADER_BYTES = 1024  # a sequence header of 32 operating points has about 400


@dataclass(frozen=True, slots=True)
class Stream:
    """The most that any frame can have.

    Attributes:
        pixels: of all frames together.
        samples: colour samples a pixel, from 1 (grey) to 3 (4:4:4).
        deep: whether a sample has more than 8 bits.
        grain: whether grain is added, to a copy of the frame.
    """

    width_px: int
    height_px: int
    pixels: int
    samples: float
    deep: bool
    grain: bool


def read_streams(streams: Iterable[bytes]) -> Stream | None:
    """Return what the headers of a file's streams allow, or None if none has a sequence header.

    A frame may say a size of its own, which decoders take even if it is over the sequence's: it
    then counts as the largest that the width of that field allows.

    Raises:
        ValueError: a header is cut short, or there are absurdly many.
    """
    found, left = None, _MAX_UNITS
    for data in streams:
        sequence = None
        for kind, body in _units(data):
            left -= 1
            if left < 0:
                raise ValueError(f"more than {_MAX_UNITS:,} parts")
            if kind == _SEQUENCE:
                sequence = _Sequence(_Bits(body))
                found = _together(found, sequence.stream(0, largest=False))
            elif sequence and kind in _FRAMES:
                largest = sequence.frame_has_own_size(_Bits(body))
                found = _together(found, sequence.stream(1, largest=largest))
    return found


def _together(one: Stream | None, other: Stream) -> Stream:
    if one is None:
        return other
    size = max(one, other, key=lambda stream: stream.width_px * stream.height_px)
    return Stream(
        size.width_px,
        size.height_px,
        one.pixels + other.pixels,
        max(one.samples, other.samples),
        one.deep or other.deep,
        one.grain or other.grain,
    )


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and first bytes of each open bitstream unit (5.3)."""
    position = 0
    while position < len(data):
        head = data[position]
        position += 2 if head & 4 else 1
        end = len(data)
        if head & 2:
            size, position = _leb128(data, position)
            end = position + size
        yield head >> 3 & 15, data[position : min(end, position + _HEADER_BYTES)]
        position = end


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[position : position + 8]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, position + index + 1
    raise ValueError("a size is cut short")


class _Bits:
    """Reads numbers of given widths in bits one after another."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data), 8 * len(data)

    def take(self, width: int) -> int:
        self._left -= width
        if self._left < 0:
            raise ValueError("a header is cut short")
        return self._number >> self._left & (1 << width) - 1

    def flag(self) -> bool:
        return bool(self.take(1))

    def skip_variable(self) -> None:
        """Pass a uvlc() (4.10.3)."""
        zeros = 0
        while not self.flag():
            zeros += 1
        if zeros < 32:
            self.take(zeros)


class _Sequence:
    """A sequence header (5.5), read up to its end, and what frame headers need of it."""

    def __init__(self, bits: _Bits) -> None:
        self._profile = bits.take(3)
        if self._profile > 2:
            raise ValueError(f"profile {self._profile} is not known")
        bits.flag()  # still_picture
        self._reduced = bits.flag()
        self._time_bits = 0
        if self._reduced:
            bits.take(5)
        else:
            self._read_timing(bits)
        self._size_bits = (bits.take(4) + 1, bits.take(4) + 1)
        self._size = (bits.take(self._size_bits[0]) + 1, bits.take(self._size_bits[1]) + 1)
        self._id_bits = 0
        if not self._reduced and bits.flag():
            self._id_bits = bits.take(4) + bits.take(3) + 3
        bits.take(3)
        self._screen_content, self._whole_motion = _SELECT, _SELECT
        if not self._reduced:
            self._read_tools(bits)
        bits.take(3)
        self._read_colours(bits)

    def stream(self, frames: int, *, largest: bool) -> Stream:
        """Return a number of frames of its size, or of the largest that one of them could say."""
        width_px, height_px = self._size
        if largest:
            width_px, height_px = 1 << self._size_bits[0], 1 << self._size_bits[1]
        pixels = frames * width_px * height_px
        return Stream(width_px, height_px, pixels, self._samples, self._deep, self._grain)

    def frame_has_own_size(self, bits: _Bits) -> bool:
        """Whether a frame header (5.9.2) sets `frame_size_override_flag`."""
        if self._reduced or bits.flag():  # or shows a frame that was decoded before
            return False
        kind, shown = bits.take(2), bits.flag()
        bits.take(self._time_bits if shown else 1)
        if kind != _SWITCH_FRAME and not (kind == _KEY_FRAME and shown):
            bits.flag()
        bits.flag()
        screen_content = self._screen_content
        if screen_content == _SELECT:
            screen_content = bits.take(1)
        if screen_content and self._whole_motion == _SELECT:
            bits.flag()
        bits.take(self._id_bits)
        return kind == _SWITCH_FRAME or bits.flag()

    def _read_timing(self, bits: _Bits) -> None:
        delay_bits, modelled = 0, False
        if bits.flag():
            bits.take(64)
            equal_interval = bits.flag()
            if equal_interval:
                bits.skip_variable()
            modelled = bits.flag()
            if modelled:
                delay_bits = bits.take(5) + 1
                bits.take(37)
                time_bits = bits.take(5) + 1
                self._time_bits = 0 if equal_interval else time_bits
        delays_shown = bits.flag()
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.flag()
            if modelled and bits.flag():
                bits.take(2 * delay_bits + 1)
            if delays_shown and bits.flag():
                bits.take(4)

    def _read_tools(self, bits: _Bits) -> None:
        bits.take(4)
        ordered = bits.flag()
        if ordered:
            bits.take(2)
        if not bits.flag():
            self._screen_content = bits.take(1)
        if self._screen_content and not bits.flag():
            self._whole_motion = bits.take(1)
        if ordered:
            bits.take(3)

    def _read_colours(self, bits: _Bits) -> None:
        self._deep = bits.flag()
        twelve = self._profile == 2 and self._deep and bits.flag()
        grey = self._profile != 1 and bits.flag()
        colours = (bits.take(8), bits.take(8), bits.take(8)) if bits.flag() else None
        self._samples = 1.0
        if grey:
            bits.flag()
        elif colours == _SRGB_IDENTITY:
            self._samples = 3.0
        else:
            bits.flag()
            self._samples = self._layout(bits) if twelve else (1.5, 3.0, 2.0)[self._profile]
            bits.take(2 if self._samples == 1.5 else 0)
        if not grey:
            bits.flag()
        self._grain = bits.flag()

    def _layout(self, bits: _Bits) -> float:
        if not bits.flag():
            return 3.0
        return 1.5 if bits.flag() else 2.0
