"""The one place for a processing step of your own.

`process` runs at the end of `canonical`, so training, evaluation and serving all see its result.
Change it (crop away a frame, equalise the light, ...), give it another `NAME`, and preprocess
again: the name is stored in every manifest and bundle, and a bundle made with another step is
not mixed with this one. It must be deterministic and quick, and its result uint8 RGB and no larger
than the picture that came. A slip in here stops whatever runs, in one line; no photo is blamed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NAME = "none"


def process(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the canonical photo as the models should see it; by default unchanged.

    Args:
        image_HWC: uint8 RGB, upright, its short side at most S px.
    """
    return image_HWC
