"""`/v2` beside `/v1/predict`: one photo a request, 8 connections, the same server and photos.

The Open Inference Protocol carries a photo in binary after a JSON head, alone as the body, or in
base64 within the JSON. All four ways are measured in turn, round after round; a ratio is the
median over the rounds. Then `/healthz` is asked while photos of 20 MiB arrive, to see how long
the event loop keeps others waiting; that is printed and has no bar.
Photos: DOGGO_PHOTOS or ../shared/photos (folder per breed), else the 20 of the foolbox package.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from _load import Load, load, requests_of
from doggo.vision.pairs import usable_pairs
from doggo.vision.photo import MAX_BYTES
from serve import BF16, DOGGO, F32, doggo, judged, some_photos

RATIO_BINARY = 0.9
HEAD = b"POST /v2/models/doggo/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n"
PHOTO = {"name": "photo", "datatype": "BYTES", "shape": [1]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    options = parser.parse_args()
    photos = some_photos(200)
    pair = BF16 if BF16 in usable_pairs() else F32
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        # A folder that cannot keep bytecode would measure the compiler.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["DOGGO_HOME"] = str(Path(folder) / "home")
        subprocess.run([DOGGO, "bootstrap"], check=True, capture_output=True)
        with doggo(pair) as server:
            print(f"doggo, {pair.name}")
            checks = throughput(server.port, photos, options.rounds, options.seconds)
            pauses(server.port)
    return 0 if all(checks) else 1


def throughput(port: int, photos: Sequence[bytes], rounds: int, seconds: float) -> list[bool]:
    """Measure the ways in turn; print and judge the ratios."""
    ways = {
        "/v1/predict, a form": requests_of(photos),
        "/v2, binary after JSON": [request(*binary(photo)) for photo in photos],
        "/v2, the photo alone": [request(photo, 0) for photo in photos],
        "/v2, base64": [request(in_base64(photo)) for photo in photos],
    }
    runs: dict[str, list[Load]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, requests in ways.items():
            one = load(port, requests, seconds=seconds if number else 1.0)
            if number:  # the first round warms up
                runs[name].append(one)
    checks = [all(one.failed == 0 for loads in runs.values() for one in loads)]
    print(f"every request answered 200: {'yes' if checks[0] else 'NO'}")
    floor, *others = runs
    for name, loads in runs.items():
        print(f"{name:<24} {statistics.median(one.per_s for one in loads):6.0f}/s")
    for name in others:
        each = [a.per_s / b.per_s for a, b in zip(runs[name], runs[floor], strict=True)]
        ratio = statistics.median(each)
        words = f"{name}: {ratio:.2f} x /v1/predict ({min(each):.2f} to {max(each):.2f})"
        if "base64" in name:
            print(words)
        else:
            checks.append(judged(words, ratio >= RATIO_BINARY, f"bar {RATIO_BINARY} x"))
    return checks


def request(body: bytes, json_bytes: int | None = None) -> bytes:
    """Return a whole HTTP request."""
    kind = b"application/json" if json_bytes is None else b"application/octet-stream"
    length = b"" if json_bytes is None else b"Inference-Header-Content-Length: %d\r\n" % json_bytes
    return HEAD % len(body) + length + b"Content-Type: %b\r\n\r\n" % kind + body


def binary(photo: bytes) -> tuple[bytes, int]:
    """Return a body with the photo after the JSON, and the length of the JSON."""
    tensor = struct.pack("<I", len(photo)) + photo
    given = {**PHOTO, "parameters": {"binary_data_size": len(tensor)}}
    head = json.dumps({"inputs": [given]}).encode()
    return head + tensor, len(head)


def in_base64(photo: bytes) -> bytes:
    given = {**PHOTO, "data": [base64.b64encode(photo).decode()]}
    return json.dumps({"inputs": [given]}).encode()


def pauses(port: int, requests: int = 20) -> None:
    """Print how long `/healthz` waits while the largest bodies are taken in."""
    largest = os.urandom(MAX_BYTES)  # no picture: nothing is decoded, only taken in
    url = f"http://127.0.0.1:{port}"
    ways = {
        "nothing arrives": None,
        "20 MiB to /v1/predict": ("/v1/predict", largest),
        "20 MiB to /v2 in base64": ("/v2/models/doggo/infer", in_base64(largest)),
    }
    for name, way in ways.items():
        worker = threading.Thread(target=send, args=(url, way, requests))
        waits_ms = asked_meanwhile(url, worker)
        print(
            f"/healthz while {name:<24} p50 {statistics.median(waits_ms):5.1f} ms  "
            f"longest {max(waits_ms):5.1f} ms"
        )


def send(url: str, way: tuple[str, bytes] | None, requests: int) -> None:
    """Send a body `requests` times over one connection."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for _ in range(requests if way else 0):
            client.post(way[0], content=way[1])


def asked_meanwhile(url: str, worker: threading.Thread) -> list[float]:
    """Return how long each answer took while `worker` ran, in ms; 100 at least."""
    waits_ms: list[float] = []
    with httpx.Client(trust_env=False, timeout=60) as client:
        worker.start()
        while worker.is_alive() or len(waits_ms) < 100:
            asked_at = time.perf_counter()
            client.get(f"{url}/healthz")
            waits_ms.append(1000 * (time.perf_counter() - asked_at))
            time.sleep(0.002)
        worker.join()
    return waits_ms


if __name__ == "__main__":
    sys.exit(main())
