"""What a training computes on, and in which precision.

A rule and no trial: a stopwatch would let the same seed give other weights from run to run.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from dataclasses import dataclass

import torch

from doggo.vision.cores import available_cores

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEPT_BYTES = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """Names as Lightning has them, such as `gpu` and `bf16-mixed`."""

    accelerator: str
    precision: str

    @property
    def device(self) -> torch.device:
        """Where a tensor of this process goes."""
        return torch.device("cuda" if self.accelerator == "gpu" else "cpu")


def choose_compute() -> Compute:
    """Return the GPU if there is one, in half precision; else the processor in float32.

    bf16 on a processor that has it was no faster for the default network (EfficientNet-Lite0
    forward and backward, 2 cores with AVX512-BF16, November 2026: 39 ms a photo in float32, 60
    in bf16).
    """
    if not torch.cuda.is_available():
        return Compute(accelerator="cpu", precision="32-true")
    half = "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return Compute(accelerator="gpu", precision=half)


def stay_within_quota() -> None:
    """Compute on no more threads than a container's limit feeds: torch counts the machine's cores.

    It stays so for the process.
    """
    torch.set_num_threads(min(torch.get_num_threads(), available_cores()))


def keep_freed_memory() -> None:
    """Have malloc keep what is freed for the next step, instead of asking the system each time.

    Halves a step on a processor: 80 to 40 ms a photo (as above). It stays so for the process. Does
    nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
