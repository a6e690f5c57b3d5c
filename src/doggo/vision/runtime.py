"""Runtimes: an ONNX file and its inputs in, named outputs out.

Owns which pairs of runtime and precision this machine can run, how a network is run, and the
pure rule that picks a pair. Knows nothing of breeds or bundles.

Every photo goes through the network alone, on one thread; a batch is as many photos at once
as there are threads. So an answer cannot depend on the other photos of a batch, on its size
or on the number of cores; and it costs the least. EfficientNet-Lite0, processor milliseconds a
photo on two busy cores (November 2026): onnxruntime-f32 10.5 this way, 19 with two threads a
photo, 25 in batches of 8; OpenVINO f32 11.4 against 14.1 in batches of 8, bf16 7.2 against 7.6.
Batches and threads gave bitwise the same answers there, but no runtime promises it.

Legend: N photos, H W C a picture.
"""

from __future__ import annotations

import importlib.util
import os
import queue
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import BundleError, UsageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

LARGEST_LOSS = 0.01
"""A faster pair may lose at most this much top-1, as a fraction: one point."""

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, Arm

Outputs = tuple[F32, ...]
RunOne = Callable[["U8 | F32"], Outputs]


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


def runtime_version(pair: Pair) -> str:
    """Return the version of the pair's library: part of cache keys."""
    from importlib.metadata import version

    return version(pair.runtime)


class Session:
    """A network that answers; safe to call from several threads at once."""

    def __init__(self, run_one: RunOne, names: tuple[str, ...], pair: Pair, threads: int) -> None:
        self.pair = pair
        self.names = names
        self.threads = threads
        self._run_one = run_one
        self._pool = ThreadPoolExecutor(threads, "network") if threads > 1 else None

    def run(self, inputs: U8 | F32) -> dict[str, F32]:
        """Return each output by name, float32 with N first; N may be 0.

        Args:
            inputs: N of what the network takes, such as uint8 pictures [N, H, W, 3].
        """
        parts = [inputs[index : index + 1] for index in range(len(inputs))]
        if len(parts) > 1 and self._pool is not None:
            answers = list(self._pool.map(self._run_one, parts))
        else:
            answers = [self._run_one(part) for part in parts or [_blank(inputs)]]
        columns = zip(*answers, strict=True)
        outputs = {
            name: np.concatenate(column) for name, column in zip(self.names, columns, strict=True)
        }
        return outputs if parts else {name: value[:0] for name, value in outputs.items()}


def open_session(onnx_path: Path, pair: Pair, threads: int = 0) -> Session:
    """Load a network of one input, whose first axis counts the photos.

    Args:
        threads: photos computed at once; 0: one a core that this process may use.

    Raises:
        UsageError: this machine cannot run the pair.
        BundleError: the file is no network that the runtime can load.
    """
    reason = supported_pairs().get(pair, "there is no such pair")
    if reason is not None:
        raise UsageError(f"cannot run {pair.name} here: {reason}")
    threads = threads or available_cores()
    opener = _open_openvino if pair.runtime == "openvino" else _open_onnxruntime
    try:
        run_one, names = opener(onnx_path, pair, threads)
    except (RuntimeError, ValueError, OSError) as error:
        raise _unloadable(onnx_path, pair, error) from error
    except Exception as error:
        # onnxruntime's own errors derive from Exception alone.
        if type(error).__module__.startswith("onnxruntime"):
            raise _unloadable(onnx_path, pair, error) from error
        raise
    return Session(run_one, names, pair, threads)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _unloadable(onnx_path: Path, pair: Pair, error: Exception) -> BundleError:
    said = str(error).strip().splitlines()
    return BundleError(
        f"{pair.runtime} cannot load {onnx_path}: {said[-1] if said else type(error).__name__}; "
        "export the model again"
    )


def _blank(inputs: U8 | F32) -> U8 | F32:
    # An empty batch still has outputs of a known shape: ask the network.
    return np.zeros((1, *inputs.shape[1:]), inputs.dtype)


def _open_onnxruntime(onnx_path: Path, pair: Pair, threads: int) -> tuple[RunOne, tuple[str, ...]]:
    session = _onnxruntime_session(onnx_path, batch_axis="N")
    axis = session.get_inputs()[0].shape[0]
    if isinstance(axis, str):
        session = _onnxruntime_session(onnx_path, batch_axis=axis)
    names = tuple(str(output.name) for output in session.get_outputs())

    input_name = session.get_inputs()[0].name

    def run_one(input_1: U8 | F32) -> Outputs:
        return tuple(session.run(None, {input_name: input_1}))

    return run_one, names


def _onnxruntime_session(onnx_path: Path, batch_axis: str) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # With N known to be 1 the arithmetic of the padding is folded away: 12 kinds of nodes
    # instead of 23 for lite0.
    options.add_free_dimension_override_by_name(batch_axis, 1)
    return onnxruntime.InferenceSession(
        os.fspath(onnx_path), options, providers=["CPUExecutionProvider"]
    )


def _open_openvino(onnx_path: Path, pair: Pair, threads: int) -> tuple[RunOne, tuple[str, ...]]:
    import openvino

    core = openvino.Core()
    network = core.read_model(os.fspath(onnx_path))
    shape = network.input(0).partial_shape
    shape[0] = 1
    network.reshape({0: shape})
    compiled = core.compile_model(network, "CPU", _openvino_options(pair, threads))
    names = tuple(output.get_any_name() for output in compiled.outputs)
    # The first call fills a table under a C++ lock and imports numpy meanwhile: two threads
    # doing that at once wait for each other for ever (seen in OpenVINO 2026.4). Do it alone.
    openvino.Type.u8.to_dtype()
    # A request holds one photo's activations and is not thread-safe: they are passed around.
    # One more than threads, so that the next photo waits in the runtime and not in Python.
    requests: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
    for _ in range(threads + 1):
        requests.put(compiled.create_infer_request())

    def run_one(input_1: U8 | F32) -> Outputs:
        request = requests.get()
        try:
            request.infer([input_1], share_inputs=True)
            return tuple(
                np.array(request.get_output_tensor(index).data, np.float32)
                for index in range(len(names))
            )
        finally:
            requests.put(request)

    return run_one, names


def _openvino_options(pair: Pair, threads: int) -> Mapping[str, object]:
    return {
        "INFERENCE_PRECISION_HINT": pair.precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "ENABLE_CPU_PINNING": False,  # decoding shares these cores
    }


def _has_bf16() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        return bool(_BF16_FLAGS & set(cpuinfo.read_text().split()))
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
