"""What is too much: bytes, pixels, memory and time, judged before decoding.

Owns the limits and the words of a refusal. Knows nothing of how the estimates come about.
"""

from __future__ import annotations

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.header import Header

DEFAULT_SHORT_SIDE_PX = 256
MAX_PIXELS = 100_000_000
MAX_SIDE_PX = 20_000
MAX_MEMORY_BYTES = 150 * 2**20
MAX_DECODE_S = 1.0

# A scaled decode keeps at least this many times the wanted short side for the final, antialiased
# resize. Against the exact full decode of 2 to 9 MP photos (November 2026): 1.0 gives 37 dB PSNR,
# 1.375 at least 46 dB. 3024 px phone photos just pass at 1/8.
_SCALED_MARGIN = 1.375
_SCALED_BYTES_PER_PIXEL = 8  # 3 from the decoder, 4 in Pillow, and the resized rows
_FIXED_BYTES = 2 * 2**20


def scale_divisor(short_px: int, short_side_px: int) -> int:
    """Return by how much a JPEG is scaled while it is decoded: 8, 4, 2 or 1.

    These are the scales with vector code; those between cost more than they save.
    """
    wanted = short_side_px * _SCALED_MARGIN
    return next((divisor for divisor in (8, 4, 2) if short_px / divisor >= wanted), 1)


def check_limits(header: Header, size_bytes: int, short_side_px: int) -> None:
    """Refuse a picture that is over a limit.

    Args:
        header: of the picture.
        size_bytes: of the file; decoding holds a cleaned copy, some decoders another.

    Raises:
        PhotoError: TOO_MANY_PIXELS or TOO_SLOW, saying the limit.
    """
    size = f"{header.width_px:,} x {header.height_px:,} px"
    if max(header.width_px, header.height_px) > MAX_SIDE_PX or header.pixels > MAX_PIXELS:
        raise PhotoError(
            Rejection.TOO_MANY_PIXELS,
            f"the picture has {size}; at most {MAX_SIDE_PX:,} px a side and "
            f"{MAX_PIXELS // 1_000_000} million in all are read: save it smaller",
        )
    memory = _memory_bytes(header, size_bytes, short_side_px)
    if memory > MAX_MEMORY_BYTES:
        raise PhotoError(
            Rejection.TOO_MANY_PIXELS,
            f"decoding this {header.format.name} of {size} takes about {memory / 2**20:.0f} MiB; "
            f"at most {MAX_MEMORY_BYTES // 2**20} MiB are spent on a file: save it smaller, or "
            "as a plain JPEG",
        )
    if header.decode_s > MAX_DECODE_S:
        raise PhotoError(
            Rejection.TOO_SLOW,
            f"decoding this {header.format.name} of {size} takes about {header.decode_s:.1f} s; "
            f"at most {MAX_DECODE_S:.0f} s is spent on a file: save it smaller, or as a plain JPEG",
        )


def check_opened(header: Header, size_px: tuple[int, int]) -> None:
    """Refuse a picture whose decoder would make more of it than the header was judged by.

    Some files say their size twice, and a decoder may believe the other one. Less is no harm: a
    header counts the largest picture of a HEIC or AVIF, and turns are not yet applied.

    Args:
        header: that `check_limits` let pass.
        size_px: width and height that the decoder tells before it decodes.

    Raises:
        PhotoError: BROKEN, saying both sizes.
    """
    width_px, height_px = size_px
    if width_px * height_px > header.pixels or max(size_px) > MAX_SIDE_PX:
        raise PhotoError(
            Rejection.BROKEN,
            f"this {header.format.name} is damaged (it says {header.width_px:,} x "
            f"{header.height_px:,} px and {width_px:,} x {height_px:,} px): save it again",
        )


def _memory_bytes(header: Header, size_bytes: int, short_side_px: int) -> float:
    memory = _FIXED_BYTES + 2 * size_bytes + header.bytes_per_pixel * header.pixels
    if header.scaled:
        divisor = scale_divisor(min(header.width_px, header.height_px), short_side_px)
        memory += _SCALED_BYTES_PER_PIXEL * header.pixels / divisor**2
    return memory
