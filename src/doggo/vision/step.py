"""The owner's processing step as the rest of doggo meets it: named, taken, and checked.

The one place that runs `owner_step.py`, which its owner edits: whatever goes wrong in there is a
`StepError` that names the file, and never passes for damage of a photo. Knows nothing of photos.

Arrays: H height, W width, C the three channels R, G, B.
"""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import StepError

_FILE = Path(__file__).with_name("owner_step.py")
_MOST_WORDS = 200


def step_name() -> str:
    """Return the step's name: part of a manifest's identity.

    Raises:
        StepError: the file cannot be imported, or has no name.
    """
    try:
        from doggo.vision import owner_step

        name: object = owner_step.NAME
    except Exception as error:
        raise _raised(error) from error
    if not isinstance(name, str) or not name:
        raise StepError(f"NAME in your processing step ({_FILE}) is {name!r}: make it a word")
    return name


def take_step(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what the owner's step makes of a photo: uint8 [H, W, 3], contiguous.

    Raises:
        StepError: the step raised something, or gave back what is no picture.
    """
    try:
        from doggo.vision import owner_step

        made: object = owner_step.process(image_HWC)
    except Exception as error:
        raise _raised(error) from error
    if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or not _fits(made, image_HWC):
        raise _no_picture(made, image_HWC)
    return np.ascontiguousarray(made)


def _fits(made: NDArray[np.uint8], image_HWC: NDArray[np.uint8]) -> bool:
    if made.ndim != 3 or made.shape[2] != 3:
        return False
    return all(0 < px <= most for px, most in zip(made.shape, image_HWC.shape, strict=True))


def _raised(error: Exception) -> StepError:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(_FILE)]
    where = f"{_FILE}, line {lines[-1]}" if lines else str(_FILE)
    words = " ".join(str(error).split())[:_MOST_WORDS]
    return StepError(
        f"your processing step ({where}) raised {type(error).__name__}: {words}; mend the step"
    )


def _no_picture(made: object, image_HWC: NDArray[np.uint8]) -> StepError:
    what = f"a {type(made).__name__}"
    if isinstance(made, np.ndarray):
        what = f"{made.dtype} {list(made.shape)}"
    return StepError(
        f"your processing step ({_FILE}) made {what} of a photo that is uint8 "
        f"{list(image_HWC.shape)}; mend the step: uint8, three channels, no larger than it came"
    )
