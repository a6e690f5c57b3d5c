"""Pairs of a runtime and the precision it computes in: which there are, and which is taken.

Owns what this machine can run and the pure rule that picks a pair from trials. Knows nothing of
networks or of how one is run (`runtime.py`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from doggo.core.errors import UsageError
from doggo.vision.telemetry import tell_nobody

LARGEST_LOSS = 0.01
"""A faster pair may lose at most this much top-1, as a fraction: one point."""

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, Arm


@dataclass(frozen=True, order=True)
class Pair:
    """A runtime and the precision it computes in."""

    runtime: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.runtime}-{self.precision}"

    @classmethod
    def parse(cls, name: str) -> Pair:
        """Return the pair called e.g. `openvino-bf16`.

        Raises:
            UsageError: there is no such pair.
        """
        for pair in PAIRS:
            if pair.name == name:
                return pair
        known = ", ".join(pair.name for pair in PAIRS)
        raise UsageError(f"runtime {name!r} is unknown: choose one of {known}")


REFERENCE = Pair("onnxruntime", "f32")
"""What the others are compared with; part of the base installation."""

PAIRS = (REFERENCE, Pair("openvino", "f32"), Pair("openvino", "bf16"))
_FASTEST_FIRST = PAIRS[::-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """How a pair did against `REFERENCE` on the same labelled validation photos.

    Attributes:
        top1_difference: its top-1 minus the reference's, as a fraction.
        low, high: paired 95 % interval of that difference.
        ms_per_photo: throughput on the machine that exported.
        photos: how many were compared; 0 for the reference when there were none.
    """

    pair: Pair
    top1_difference: float
    low: float
    high: float
    ms_per_photo: float
    photos: int


def choose_pair(trials: Sequence[Trial], usable: Collection[Pair] = PAIRS) -> Pair:
    """Return the fastest usable pair whose top-1 loss is surely below one point.

    The reference is always allowed; it is also the answer when nothing was tried.
    """
    allowed = [
        trial
        for trial in trials
        if trial.pair in usable and (trial.pair == REFERENCE or trial.low > -LARGEST_LOSS)
    ]
    if not allowed:
        return REFERENCE
    return min(allowed, key=lambda trial: (trial.ms_per_photo, trial.pair)).pair


def supported_pairs() -> dict[Pair, str | None]:
    """Return every pair with None if this machine can run it, else the reason why not."""
    found: dict[Pair, str | None] = {REFERENCE: None}
    installed = importlib.util.find_spec("openvino") is not None
    missing = None if installed else "openvino is not installed (pip install 'doggo[fast]')"
    found[Pair("openvino", "f32")] = missing
    if missing is None and not _has_bf16():
        missing = "this processor does not compute in bf16"
    found[Pair("openvino", "bf16")] = missing
    return found


def usable_pairs() -> tuple[Pair, ...]:
    """Return the pairs that this machine can run, the reference first."""
    return tuple(pair for pair, reason in supported_pairs().items() if reason is None)


def fastest_pair() -> Pair:
    """Return the pair that computes embeddings fastest on this machine.

    By rule, not by a trial: OpenVINO was never slower than onnxruntime here, and bf16 where it
    is in hardware takes half the time and agrees in 99.5 % of answers (November 2026).
    """
    return min(usable_pairs(), key=_FASTEST_FIRST.index)


def pair_or_fastest(name: str) -> Pair:
    """Return the pair called so, such as `openvino-f32`; of an empty name the fastest.

    Raises:
        UsageError: there is no such pair.
    """
    return Pair.parse(name) if name else fastest_pair()


def runtime_version(pair: Pair) -> str:
    """Return the version of the pair's library: part of cache keys."""
    from importlib.metadata import version

    return version(pair.runtime)


def _has_bf16() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        return bool(_BF16_FLAGS & set(cpuinfo.read_text().split()))
    tell_nobody()
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
