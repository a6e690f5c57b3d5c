"""A shipped network cut in two: the body, which makes features, and the heads, which judge them.

Features that a body gave for a photo once need not be computed again while the body is the same
one. Owns the cut and the body's identity. Knows nothing of photos, caches or PyTorch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

INPUT, FEATURES = "images", "features"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Both parts of a `model.onnx`.

    Attributes:
        body_sha256: hex digest of the graph and the weights from pictures to features.
        heads: an ONNX file, `features` float32 [N, D] to all other outputs.
    """

    body_sha256: str
    heads: bytes


def cut(file: Path) -> Cut | None:
    """Return both parts of a network, None if it does not give its features.

    Args:
        file: one that a runtime has loaded before: nothing is checked here.
    """
    import onnx
    from onnx.utils import Extractor

    model = onnx.load_model(file)
    outputs = [output.name for output in model.graph.output]
    if FEATURES not in outputs:
        return None
    extractor = Extractor(model)
    body = extractor.extract_model([INPUT], [FEATURES])
    heads = extractor.extract_model([FEATURES], [name for name in outputs if name != FEATURES])
    return Cut(
        body_sha256=hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest(),
        heads=heads.SerializeToString(),
    )
