"""A trained network as files that need no PyTorch code to run: ONNX and TorchScript.

The one place that calls `torch.onnx` and `torch.jit`. Files are written by Python from memory:
torch's own writers abort the process when the disk is full. Knows nothing of bundles.

Legend: N photos, K breeds, D features, S side in pixels.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from doggo.nets.network import DogNet

OPSET = 17
"""Understood by every onnxruntime since 1.12 and by OpenVINO."""

OUTPUTS = ("logits", "dog_mass", "known_share", "features")


def write_onnx(network: DogNet, size_px: int, path: Path) -> None:
    """Write an ONNX file from `images` uint8 [N, S, S, 3] to `OUTPUTS`, float32.

    `logits` is [N, K], `dog_mass` and `known_share` [N], `features` [N, D].
    """
    names = ["images", *OUTPUTS]
    # The runtime fixes the axis called N to 1, which lets it fold the padding's arithmetic.
    buffer = io.BytesIO()
    with _deprecations_ignored(), torch.inference_mode():
        # The exporter of the other kind (dynamo) takes 7 s instead of 1.7 s for lite0 and
        # needs onnxscript (torch 2.15, November 2026).
        torch.onnx.export(
            network.eval(),
            (_example(size_px),),
            buffer,  # type: ignore[arg-type]  # this exporter takes a file object too
            dynamo=False,
            opset_version=OPSET,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "N"} for name in names},
        )
    path.write_bytes(buffer.getvalue())


def write_torchscript(network: DogNet, size_px: int, path: Path) -> None:
    """Write a TorchScript file of the same function, frozen."""
    buffer = io.BytesIO()
    with _deprecations_ignored(), torch.inference_mode():
        # Its own check runs the network again; export compares on real photos afterwards.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network.eval(), (_example(size_px),), check_trace=False
        )
        torch.jit.save(torch.jit.freeze(traced), buffer)
    path.write_bytes(buffer.getvalue())


def read_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Return the network of a TorchScript file, on the CPU."""
    with _deprecations_ignored():
        network = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    assert isinstance(network, torch.jit.ScriptModule)
    return network


def _example(size_px: int) -> torch.Tensor:
    # Two photos: a batch of one would let a tracer take N for a constant.
    return torch.zeros((2, size_px, size_px, 3), dtype=torch.uint8)


@contextmanager
def _deprecations_ignored() -> Iterator[None]:
    """torch announces the end of both formats at every call; they are what we ship today."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="torch")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield
