"""Runtimes: an ONNX file and its inputs in, named outputs out.

Owns how a network is opened and run. Knows nothing of breeds or bundles, nor which of the pairs
of runtime and precision is best (`pairs.py`).

A request is computed by one thread, and as many requests at once as there are threads. In f32
a request is one photo: an answer cannot depend on the others, and it costs the least.
EfficientNet-Lite0, processor milliseconds a photo on two busy cores (November 2026):
onnxruntime-f32 10.5 this way, 19 with two threads a photo, 25 in batches of 8.

In half precision a request is two photos where more wait than there are threads. The weights
(9 MB) do not fit into a core's cache, so each request reads them anew; two photos share that,
and four no longer have room for what lies between the layers. Medians of 30 rounds: 8.0 ms of
processor time alone, 6.9 in twos, 7.0 in fours, 7.7 in eights; in f32 twos gain nothing. The
answers are bitwise the same (a test compares them on each machine), whatever the other photo is.

Legend: N photos, H W C a picture.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import BundleError, UsageError
from doggo.vision.cores import available_cores
from doggo.vision.pairs import Pair, supported_pairs
from doggo.vision.telemetry import tell_nobody

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

Outputs = tuple[F32, ...]
Compute = Callable[["U8 | F32"], Outputs]
"""One request on the calling thread: at most `_photos_together` photos in."""

Network = Path | bytes
"""An ONNX file, or its content."""


class Session:
    """A network that answers; safe to call from several threads at once.

    Attributes:
        names: of the outputs.
        threads: requests that are computed at once.
        photos_together: photos that a request may hold.
    """

    def __init__(self, compute: Compute, names: tuple[str, ...], pair: Pair, threads: int) -> None:
        self.pair = pair
        self.names = names
        self.threads = threads
        self.photos_together = _photos_together(pair)
        self._compute = compute
        self._pool = ThreadPoolExecutor(threads, "network") if threads > 1 else None

    def run(self, inputs: U8 | F32) -> dict[str, F32]:
        """Return each output by name, float32 with N first; N may be 0. Uses all threads.

        Args:
            inputs: N of what the network takes, such as uint8 pictures [N, H, W, 3].
        """
        size = self.photos_together if len(inputs) > self.threads else 1
        parts = _parts(inputs, size)
        if len(parts) > 1 and self._pool is not None:
            return self._joined(inputs, list(self._pool.map(self._compute, parts)))
        return self._joined(inputs, [self._compute(part) for part in parts])

    def run_here(self, inputs: U8 | F32) -> dict[str, F32]:
        """Return what `run` does, computed on the calling thread alone."""
        parts = _parts(inputs, self.photos_together)
        return self._joined(inputs, [self._compute(part) for part in parts])

    def _joined(self, inputs: U8 | F32, answers: Sequence[Outputs]) -> dict[str, F32]:
        columns = zip(*answers, strict=True)
        return {
            name: np.concatenate(column)[: len(inputs)]
            for name, column in zip(self.names, columns, strict=True)
        }


def _parts(inputs: U8 | F32, size: int) -> list[U8 | F32]:
    # An empty batch still has outputs of a known shape: ask the network.
    whole = inputs if len(inputs) else np.zeros((1, *inputs.shape[1:]), inputs.dtype)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _photos_together(pair: Pair) -> int:
    return 2 if pair.precision == "bf16" else 1


def open_session(network: Network, pair: Pair, threads: int = 0) -> Session:
    """Load a network of one input, whose first axis counts the photos.

    Args:
        network: an ONNX file or its content.
        threads: requests computed at once; 0: one a core that this process may use.

    Raises:
        UsageError: this machine cannot run the pair.
        BundleError: the file is no network that the runtime can load.
    """
    reason = supported_pairs().get(pair, "there is no such pair")
    if reason is not None:
        raise UsageError(f"cannot run {pair.name} here: {reason}")
    threads = threads or available_cores()
    tell_nobody()
    opener = _open_openvino if pair.runtime == "openvino" else _open_onnxruntime
    try:
        compute, names = opener(network, pair, threads)
    except (RuntimeError, ValueError, OSError) as error:
        raise _unloadable(network, pair, error) from error
    except Exception as error:
        # onnxruntime's own errors derive from Exception alone.
        if type(error).__module__.startswith("onnxruntime"):
            raise _unloadable(network, pair, error) from error
        raise
    return Session(compute, names, pair, threads)


class OpenNetworks:
    """Opens each network once: the same content on the same pair is the same session again.

    Compiling lite0 takes OpenVINO half a second of one core, and a model on its way to
    production is wanted by export, evaluation and the gate. Holds what it opened.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, Pair, int], Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __call__(self, network: Network, pair: Pair, threads: int = 0) -> Session:
        """Do what `open_session` does, which see."""
        content = network if isinstance(network, bytes) else network.read_bytes()
        key = (hashlib.sha256(content).hexdigest(), pair, threads)
        if key not in self._open:
            self._open[key] = open_session(content, pair, threads)
        return self._open[key]


class Opener(Protocol):
    """`open_session`, or what opens each network once."""

    def __call__(self, network: Network, pair: Pair, threads: int = 0) -> Session:
        """See `open_session`."""
        ...


def _unloadable(network: Network, pair: Pair, error: Exception) -> BundleError:
    said = str(error).strip().splitlines()
    what = "the network" if isinstance(network, bytes) else network
    return BundleError(
        f"{pair.runtime} cannot load {what}: {said[-1] if said else type(error).__name__}; "
        "export the model again"
    )


def _open_onnxruntime(
    network: Network, pair: Pair, threads: int
) -> tuple[Compute, tuple[str, ...]]:
    session = _onnxruntime_session(network, batch_axis="N")
    axis = session.get_inputs()[0].shape[0]
    if isinstance(axis, str):
        session = _onnxruntime_session(network, batch_axis=axis)
    names = tuple(str(output.name) for output in session.get_outputs())
    input_name = session.get_inputs()[0].name

    def compute(input_1: U8 | F32) -> Outputs:
        return tuple(session.run(None, {input_name: input_1}))

    return compute, names


def _onnxruntime_session(network: Network, batch_axis: str) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # With N known to be 1 the arithmetic of the padding is folded away: 12 kinds of nodes
    # instead of 23 for lite0.
    options.add_free_dimension_override_by_name(batch_axis, 1)
    source = network if isinstance(network, bytes) else os.fspath(network)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


_first_openvino_call = threading.Lock()


def _open_openvino(network: Network, pair: Pair, threads: int) -> tuple[Compute, tuple[str, ...]]:
    import openvino

    # The first call fills a table under a C++ lock and imports numpy meanwhile: two threads
    # doing that at once wait for each other for ever (seen in OpenVINO 2026.4). Do it alone.
    with _first_openvino_call:
        openvino.Type.u8.to_dtype()
    alone = _OpenVinoNetwork(network, pair, threads, photos=1)
    making = threading.Lock()
    networks = {1: alone}

    def compute(input_n: U8 | F32) -> Outputs:
        photos = len(input_n)
        if photos not in networks:
            # Made when it is first needed: 0.4 s and 60 MB that one photo does not want.
            with making:
                if photos not in networks:
                    networks[photos] = _OpenVinoNetwork(network, pair, threads, photos=photos)
        return networks[photos](input_n)

    return compute, alone.names


class _OpenVinoNetwork:
    """A network compiled for a fixed number of photos a request; thread-safe."""

    def __init__(self, network: Network, pair: Pair, threads: int, *, photos: int) -> None:
        import openvino

        core = openvino.Core()
        source = network if isinstance(network, bytes) else os.fspath(network)
        model = core.read_model(source)
        shape = model.input(0).partial_shape
        shape[0] = photos
        model.reshape({0: shape})
        compiled = core.compile_model(model, "CPU", _openvino_options(pair, threads))
        self.names = tuple(str(output.get_any_name()) for output in compiled.outputs)
        # A request holds its photos' activations and is not thread-safe: they are passed around.
        # One more than threads, so that the next photo waits in the runtime and not in Python.
        self._requests: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for _ in range(threads + 1):
            self._requests.put(compiled.create_infer_request())

    def __call__(self, inputs: U8 | F32) -> Outputs:
        request = self._requests.get()
        try:
            request.infer([inputs], share_inputs=True)
            return tuple(
                np.array(request.get_output_tensor(index).data, np.float32)
                for index in range(len(self.names))
            )
        finally:
            self._requests.put(request)


def _openvino_options(pair: Pair, threads: int) -> Mapping[str, object]:
    return {
        "INFERENCE_PRECISION_HINT": pair.precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "ENABLE_CPU_PINNING": False,  # decoding shares these cores
    }
