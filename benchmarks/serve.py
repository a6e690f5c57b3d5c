"""`POST /v1/predict` beside LitServe, 8 connections; ready time and memory of the server.

Contestants serve the same network to the same client (`_load.py`) on loopback, measured in turn,
round after round, so that whatever else this machine does hits all of them; ratios are medians
over the rounds. `LitServe as documented` is Pillow and onnxruntime f32 in its batches of 8;
`LitServe with our insides` has our decoder and runtime (see `_litserve_server.py`). Its own
packages are pinned in requirements-litserve.txt and live in a venv under the user's cache.
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
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil

from _load import Load, load, requests_of
from doggo.vision.runtime import Pair, usable_pairs

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
    requests = requests_of(some_photos(200))
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        home = Path(folder) / "home"
        # A folder that cannot keep bytecode would measure the compiler.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["DOGGO_HOME"] = str(home)
        subprocess.run([DOGGO, "bootstrap"], check=True, capture_output=True)
        bundle = next(home.rglob("model.onnx")).parent
        checks = [
            *throughput(python, bundle, requests, options.rounds, options.seconds),
            *process(requests, options.requests),
        ]
    return 0 if all(checks) else 1


def throughput(
    python: str, bundle: Path, requests: Sequence[bytes], rounds: int, seconds: float
) -> list[bool]:
    """Measure the contestants in turn; print and judge the ratios."""
    pairs = [pair for pair in (F32, BF16) if pair in usable_pairs()]
    with ExitStack() as stack:
        ports = {"LitServe as documented": stack.enter_context(litserve(python, "docs", bundle))}
        for pair in pairs:
            ports[f"LitServe with our insides, {pair.name}"] = stack.enter_context(
                litserve(python, "ours", bundle, pair)
            )
            ports[f"doggo, {pair.name}"] = stack.enter_context(doggo(pair))[0]
        for port in ports.values():
            load(port, requests, count=300)
        runs: dict[str, list[Load]] = {name: [] for name in ports}
        for _ in range(rounds):
            for name, port in ports.items():
                runs[name].append(load(port, requests, seconds=seconds))
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
    p99 = median_percentile_ms(runs[f"doggo, {pairs[-1].name}"], 99)
    checks.append(
        judged(f"{pairs[-1].name}: p99 {p99:.1f} ms", p99 < P99_LIMIT_MS, f"bar {P99_LIMIT_MS} ms")
    )
    return checks


def process(requests: Sequence[bytes], count: int) -> Iterator[bool]:
    """Measure one server process on onnxruntime: ready time, memory, growth."""
    ready_s = []
    for _ in range(3):
        with doggo(F32) as (_, took_s, _):
            ready_s.append(took_s)
    took_s = statistics.median(ready_s)
    yield judged(f"ready in {took_s:.2f} s", took_s <= READY_LIMIT_S, f"bar {READY_LIMIT_S} s")
    with doggo(F32) as (port, _, server):
        load(port, requests, count=1000)
        before_mb = rss_mb(server)
        long = load(port, requests, count=count)
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


def rss_mb(server: subprocess.Popen[bytes]) -> float:
    return float(psutil.Process(server.pid).memory_info().rss) / 1e6


@contextmanager
def doggo(pair: Pair) -> Iterator[tuple[int, float, subprocess.Popen[bytes]]]:
    """Run `doggo serve`; gives its port, the seconds until it was ready, and its process."""
    port = free_port()
    started = time.perf_counter()
    environment = {**os.environ, "DOGGO_RUNTIME": pair.name}
    command = [DOGGO, "serve", "--port", str(port)]
    with running(command, environment, port, "/readyz") as server:
        yield port, time.perf_counter() - started, server


@contextmanager
def litserve(python: str, kind: str, bundle: Path, pair: Pair = F32) -> Iterator[int]:
    """Run LitServe around the docs' insides or ours; gives its port."""
    port = free_port()
    script = str(HERE / "_litserve_server.py")
    command = [python, script, kind, str(bundle), str(port), "--pair", pair.name]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    with running(command, environment, port, "/health"):
        yield port


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str], port: int, path: str
) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(lambda: answers(port, path), server)
            yield server
        finally:
            # LitServe's workers are children of their own: the whole group ends.
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


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
