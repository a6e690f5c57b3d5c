"""What a person reads when a decoder gives up.

Owns the translation of any library's failure into one `PhotoError`. Knows nothing of decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from doggo.core.errors import PhotoError, Rejection

_TRUNCATED_WORDS = ("truncated", "premature end of", "unexpected end", "end of file")


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises within into a PhotoError about a picture of format `name`.

    Decoders raise OSError, SyntaxError, ValueError, KeyError, struct.error, their bomb error and
    warnings made errors, so nothing less than `Exception` is caught.
    """
    try:
        yield
    except PhotoError:
        raise
    except Exception as error:
        raise _explain(name, error) from error


def truncated(name: str) -> PhotoError:
    """The error of a file that ends too early."""
    return PhotoError(
        Rejection.TRUNCATED, f"this {name} ends too early (truncated): send or copy it again"
    )


def _explain(name: str, error: Exception) -> PhotoError:
    if isinstance(error, MemoryError):
        return PhotoError(
            Rejection.TOO_MANY_PIXELS,
            f"this {name} needs more memory than there is: save it smaller",
        )
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, EOFError) or any(part in words.lower() for part in _TRUNCATED_WORDS):
        return truncated(name)
    return PhotoError(
        Rejection.BROKEN, f"this {name} is damaged or of a rare kind ({words[:120]}): save it again"
    )
