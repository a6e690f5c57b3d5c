"""The frozen part of a backbone as an ONNX file, made once and kept.

Owns the file and its name. Knows nothing of the photos that go through it.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch

from doggo.nets.backbones import backbone
from doggo.nets.network import FeatureNet
from doggo.storage.whole import write_whole

OPSET = 17


def features_graph(folder: Path, network: FeatureNet, name: str, sha256: str) -> Path:
    """Return the ONNX file of these features in `folder`, written first if it is not there.

    Input `images`, uint8 [N, S, S, 3]; output `features`, float32 [N, D].

    Args:
        sha256: of the weights (`nets.network.features_sha256`).

    Raises:
        StorageError: the disk refuses; nothing is left of it.
    """
    file = folder / f"{name}-{sha256[:16]}-opset{OPSET}.onnx"
    if file.is_file():
        return file
    size_px = backbone(name).size_px
    example = torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter announces its own end; the dynamo one takes 7 s, not 1.7.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        torch.onnx.export(
            network.eval(),
            (example,),
            buffer,  # type: ignore[arg-type]  # this exporter takes a file object too
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["features"],
            dynamic_axes={"images": {0: "N"}, "features": {0: "N"}},
        )
    write_whole(file, buffer.getbuffer())
    return file
