"""`POST /v1/predict` beside LitServe, 8 connections; ready time and memory of the server.

Contestants serve the same network to the same client (`_load.py`) on loopback, measured in turn,
round after round, so that whatever else this machine does hits all of them; ratios are medians
over the rounds. `LitServe as documented` is Pillow and onnxruntime f32 in its batches of 8;
`LitServe with our insides` has our decoder and runtime (see `_litserve_server.py`). Its own
packages are pinned in requirements-litserve.txt and live in a venv under the user's cache. The
floor, `no server`, is decoder and runtime in this process with eight photos inside and nothing
else: what its slowest hundredth takes, no server of that runtime can undercut.
Photos: DOGGO_PHOTOS or ../shared/photos (folder per breed), else the 20 of the foolbox package.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import psutil

from _load import Load, load, requests_of
from doggo.vision.cores import available_cores
from doggo.vision.pairs import Pair, usable_pairs
from doggo.vision.predictor import Predictor

HERE = Path(__file__).resolve().parent
DOGGO = str(Path(sys.executable).with_name("doggo"))
REQUIREMENTS = HERE / "requirements-litserve.txt"
BF16, F32 = Pair.parse("openvino-bf16"), Pair.parse("onnxruntime-f32")

RATIO_BF16, RATIO_F32, RATIO_OURS = 2.0, 1.4, 1.0
P99_LIMIT_MS = 50.0
READY_LIMIT_S = 3.0
RSS_LIMIT_MB, GROWTH_LIMIT_MB = 300.0, 30.0
START_TIMEOUT_S = 120.0
SKIPPED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server that runs: its process is the head of a group of its own."""

    port: int
    process: subprocess.Popen[bytes]
    ready_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--requests", type=int, default=20_000, help="of the memory check")
    options = parser.parse_args()
    python = litserve_python()
    if python is None:
        print("skipped: LitServe cannot be installed (is the package registry reachable?)")
        return SKIPPED
    photos = some_photos(200)
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        home = Path(folder) / "home"
        # A folder that cannot keep bytecode would measure the compiler.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["DOGGO_HOME"] = str(home)
        subprocess.run([DOGGO, "bootstrap"], check=True, capture_output=True)
        bundle = next(home.rglob("model.onnx")).parent
        checks = [
            *throughput(python, bundle, photos, options.rounds, options.seconds),
            *process(requests_of(photos), options.requests),
        ]
    return 0 if all(checks) else 1


def throughput(
    python: str, bundle: Path, photos: Sequence[bytes], rounds: int, seconds: float
) -> list[bool]:
    """Measure the contestants in turn; print and judge the ratios."""
    requests = requests_of(photos)
    pairs = [pair for pair in (F32, BF16) if pair in usable_pairs()]
    fastest = pairs[-1]
    with ExitStack() as stack:
        servers = {"LitServe as documented": stack.enter_context(litserve(python, "docs", bundle))}
        for pair in pairs:
            servers[f"LitServe with our insides, {pair.name}"] = stack.enter_context(
                litserve(python, "ours", bundle, pair)
            )
            servers[f"doggo, {pair.name}"] = stack.enter_context(doggo(pair))
        turns: dict[str, Callable[[], Load]] = {
            name: partial(load, server.port, requests, seconds=seconds)
            for name, server in servers.items()
        }
        floor = Predictor.load(bundle, pair=fastest)
        turns[f"no server, {fastest.name}"] = partial(bare, floor, photos, seconds)
        runs: dict[str, list[Load]] = {name: [] for name in turns}
        for number in range(rounds + 1):
            for name, turn in turns.items():
                with stopped(other for key, other in servers.items() if key != name):
                    one = turn()
                if number:  # the first round warms up
                    runs[name].append(one)
    for name, loads in runs.items():
        per_s = statistics.median(one.per_s for one in loads)
        p50, p99 = (median_percentile_ms(loads, percent) for percent in (50, 99))
        print(f"{name:<44} {per_s:6.0f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms")
    checks = [all(one.failed == 0 for loads in runs.values() for one in loads)]
    print(f"every request answered 200: {'yes' if checks[0] else 'NO'}")
    for pair, bar in zip(pairs, (RATIO_F32, RATIO_BF16), strict=False):
        ours = runs[f"doggo, {pair.name}"]
        for peer, floor in (
            ("LitServe as documented", bar),
            (f"LitServe with our insides, {pair.name}", RATIO_OURS),
        ):
            each = [a.per_s / b.per_s for a, b in zip(ours, runs[peer], strict=True)]
            ratio = statistics.median(each)
            words = f"{pair.name}: {ratio:.2f} x {peer} ({min(each):.2f} to {max(each):.2f})"
            checks.append(judged(words, ratio >= floor, f"bar {floor:.1f} x"))
    p99 = median_percentile_ms(runs[f"doggo, {fastest.name}"], 99)
    checks.append(
        judged(f"{fastest.name}: p99 {p99:.1f} ms", p99 < P99_LIMIT_MS, f"bar {P99_LIMIT_MS} ms")
    )
    return checks


@contextmanager
def stopped(servers: Iterable[Server]) -> Iterator[None]:
    """Hold these servers still: idle, LitServe still takes a fifth of a core with its polling."""
    held = [server.process.pid for server in servers]
    for group in held:
        os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        for group in held:
            os.killpg(group, signal.SIGCONT)


def bare(predictor: Predictor, photos: Sequence[bytes], seconds: float, inside: int = 8) -> Load:
    """Answer photos on a thread a core; each leaves when `inside` came after it."""
    ended: list[float] = []
    began = time.perf_counter()
    several = predictor.photos_together

    def answer(thread: int) -> None:
        place = 37 * thread
        while time.perf_counter() - began < seconds:
            batch = [photos[(place + k) % len(photos)] for k in range(several)]
            predictor.infer_here(np.stack([predictor.view(photo) for photo in batch]))
            ended.extend([time.perf_counter()] * several)
            place += several

    threads = [threading.Thread(target=answer, args=(k,)) for k in range(available_cores())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(ended)
    latencies = [1000 * (b - a) for a, b in zip(times, times[inside:], strict=False)]
    took_s = time.perf_counter() - began
    return Load(answered=len(times), failed=0, seconds=took_s, latencies_ms=latencies)


def process(requests: Sequence[bytes], count: int) -> Iterator[bool]:
    """Measure one server process on onnxruntime: ready time, memory, growth."""
    ready_s = []
    for _ in range(3):
        with doggo(F32) as server:
            ready_s.append(server.ready_s)
    took_s = statistics.median(ready_s)
    yield judged(f"ready in {took_s:.2f} s", took_s <= READY_LIMIT_S, f"bar {READY_LIMIT_S} s")
    with doggo(F32) as server:
        load(server.port, requests, count=1000)
        before_mb = rss_mb(server)
        long = load(server.port, requests, count=count)
        after_mb = rss_mb(server)
    print(f"{long.answered} requests at {long.per_s:.0f}/s, {long.failed} failed")
    yield judged(
        f"memory {before_mb:.0f} MB before, {after_mb:.0f} MB after",
        after_mb <= RSS_LIMIT_MB and not long.failed,
        f"bar {RSS_LIMIT_MB:.0f} MB",
    )
    grown_mb = after_mb - before_mb
    yield judged(
        f"growth {grown_mb:+.1f} MB", grown_mb <= GROWTH_LIMIT_MB, f"bar {GROWTH_LIMIT_MB:.0f} MB"
    )


def judged(words: str, holds: bool, bar: str) -> bool:
    print(f"{words:<72} {bar:<12} {'holds' if holds else 'BELOW'}", flush=True)
    return holds


def median_percentile_ms(loads: Sequence[Load], percent: int) -> float:
    return statistics.median(one.percentile_ms(percent) for one in loads)


def rss_mb(server: Server) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss) / 1e6


@contextmanager
def doggo(pair: Pair) -> Iterator[Server]:
    """Run `doggo serve`."""
    port = free_port()
    environment = {**os.environ, "DOGGO_RUNTIME": pair.name}
    command = [DOGGO, "serve", "--port", str(port)]
    with running(command, environment, port, "/readyz") as server:
        yield server


@contextmanager
def litserve(python: str, kind: str, bundle: Path, pair: Pair = F32) -> Iterator[Server]:
    """Run LitServe around the docs' insides or ours."""
    port = free_port()
    script = str(HERE / "_litserve_server.py")
    command = [python, script, kind, str(bundle), str(port), "--pair", pair.name]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    with running(command, environment, port, "/health") as server:
        yield server


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str], port: int, path: str
) -> Iterator[Server]:
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(lambda: answers(port, path), process)
            ready_s = time.perf_counter() - started
            yield Server(port=port, process=process, ready_s=ready_s)
        finally:
            # LitServe's workers are children of their own: the whole group ends.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(true: Callable[[], bool], server: subprocess.Popen[bytes]) -> None:
    deadline = time.perf_counter() + START_TIMEOUT_S
    while not true():
        if server.poll() is not None or time.perf_counter() > deadline:
            raise SystemExit(f"did not start: {server.args}")
        time.sleep(0.02)


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def some_photos(count: int) -> list[bytes]:
    """Return real photos, the same ones every time."""
    given = os.environ.get("DOGGO_PHOTOS")
    folder = Path(given) if given else HERE.parent.parent / "shared" / "photos"
    if folder.is_dir():
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".jpg")
        found = random.Random(42).sample(found, min(count, len(found)))
    else:
        spec = importlib.util.find_spec("foolbox")
        assert spec is not None
        assert spec.submodule_search_locations
        found = sorted((Path(spec.submodule_search_locations[0]) / "data").glob("imagenet*.jpg"))
    print(
        f"{len(found)} photos, {sum(p.stat().st_size for p in found) / len(found):.0f} bytes each"
    )
    return [path.read_bytes() for path in found]


def litserve_python() -> str | None:
    """Return the interpreter of a venv with the pinned LitServe; None if it cannot be made."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    venv = cache / "doggo" / f"litserve-{digest}"
    python = venv / "bin" / "python"
    if (venv / "complete").exists():
        return str(python)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
    done = subprocess.run([str(python), *install], check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip())
        return None
    (venv / "complete").touch()
    return str(python)


if __name__ == "__main__":
    sys.exit(main())
