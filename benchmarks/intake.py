"""Intake + preprocess beside a floor: a script that does only what cannot be left out.

The floor reads, hashes, decodes (libjpeg-turbo, scaled, nothing checked), resizes and writes the
same pixels in the same format (raw copies, .npy shards of 128 photos, one fsync a shard) with as
many processes. It knows no broken files, duplicates, profiles or database, stores the metadata,
and loses everything when killed.
Both start their own processes and are timed from there. Done for a folder of small photos
(DOGGO_PHOTOS or ../shared/photos, folder per breed) and for 300 phone-size ones made from them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import simplejpeg
from PIL import Image

LEAST_RATIO = 0.70
MOST_MEMORY_MB = 1000
PHONE_PHOTOS = 300
PHONE_SIZE_PX = (4032, 3024)
PHONE_BYTES = (3_000_000, 5_000_000)
SKIPPED = 3
SHARD_PHOTOS = 128
SHORT_SIDE_PX = 256
SHARED = Path(__file__).resolve().parents[2] / "shared" / "photos"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=0, help="this many small photos; 0: all")
    parser.add_argument("--phone", type=int, default=PHONE_PHOTOS, help="this many large photos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("floor", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("folders", nargs="*", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(*(run_floor if options.only == "floor" else run_ours)(*options.folders))
        return 0
    photos = Path(os.environ.get("DOGGO_PHOTOS", SHARED))
    if not photos.is_dir():
        print(f"no photos at {photos}: set DOGGO_PHOTOS to a folder with a folder per breed")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as work:
        good = True
        if options.photos >= 0:
            small = linked(photos, Path(work) / "small", options.photos)
            good &= compared("small photos", small, Path(work), options.rounds)
        if options.phone > 0:
            large = phone_photos(photos, Path(work) / "phone", options.phone)
            good &= compared("phone-size photos", large, Path(work), options.rounds)
    return 0 if good else 1


def compared(name: str, photos: Path, work: Path, rounds: int) -> bool:
    """Run both sides in turns, print the figures and return whether they are within the bars."""
    count = sum(1 for _ in photos.rglob("*.jpg"))
    pairs, memory_mb, size = [], 0.0, 0
    for _ in range(rounds):
        floor_s, _, _ = run("floor", photos, work)
        ours_s, peak, written = run("ours", photos, work)
        pairs.append((floor_s, ours_s))
        memory_mb, size = max(memory_mb, peak), int(written)
    ratio = statistics.median(floor / ours for floor, ours in pairs)
    floor_s, ours_s = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{name}: {count} photos, {os.cpu_count()} processes, median of {rounds} rounds")
    print(f"  intake + preprocess {ours_s:6.2f} s  {count / ours_s:7.0f} photos/s")
    print(f"  floor               {floor_s:6.2f} s  {count / floor_s:7.0f} photos/s")
    print(f"  share of the floor's speed {ratio:.2f}  (bar: at least {LEAST_RATIO:.2f})")
    print(f"  peak memory, all processes {memory_mb:.0f} MB  (bar: at most {MOST_MEMORY_MB} MB)")
    print(f"  bytes a photo on disk {size // count:,}", flush=True)
    return ratio >= LEAST_RATIO and memory_mb <= MOST_MEMORY_MB


def run(side: str, photos: Path, work: Path) -> tuple[float, float, float]:
    """Run one side in a fresh process; return its three figures."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        os.sync()  # neither side pays for the other's unwritten pages
        command = [sys.executable, __file__, "--only", side, str(photos), out]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak, written = done.stdout.split()[-3:]
    return float(seconds), float(peak), float(written)


def run_ours(photos: Path, home: Path) -> tuple[float, float, int]:
    """Return seconds, peak memory in MB, and bytes written."""
    from doggo.intake.run import intake
    from doggo.preprocess.run import preprocess
    from doggo.storage.buckets import Bucket
    from doggo.storage.database import open_database
    from doggo.storage.photos import PhotoStore

    store = PhotoStore(open_database(home / "doggo.db"))
    raw, processed, spool = Bucket(home / "raw"), Bucket(home / "processed"), home / "spool"
    with peak_memory() as peak_mb:
        started = time.perf_counter()
        intake([photos], store=store, raw=raw, spool=spool)
        made = preprocess(store=store, raw=raw, processed=processed, spool=spool)
        seconds = time.perf_counter() - started
    assert made.manifest.rows
    written = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    return seconds, max(peak_mb), written


def run_floor(photos: Path, out: Path) -> tuple[float, float, int]:
    """Return seconds, and zeros in the place of what is not asked of the floor."""
    files = sorted(str(path) for path in photos.rglob("*.jpg"))
    processes = os.cpu_count() or 1
    size = max(16, min(SHARD_PHOTOS, len(files) // (processes * 8)))
    tasks = [
        (files[start : start + size], str(out), number)
        for number, start in enumerate(range(0, len(files), size))
    ]
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for _ in pool.imap_unordered(floor_task, tasks):
            pass
    return time.perf_counter() - started, 0.0, 0


def floor_task(task: tuple[list[str], str, int]) -> list[str]:
    """Read, hash, decode, resize and write some photos."""
    files, out, number = task
    hashes, size = [], 0
    header = {"descr": "|u1", "fortran_order": False}
    with (Path(out) / f"{number}.npy").open("wb") as shard:
        np.lib.format.write_array_header_1_0(shard, header | {"shape": (0,)})
        for file in files:
            data = Path(file).read_bytes()
            hashes.append(hashlib.sha256(data).hexdigest())
            image_HWC = bare_pixels(data)
            (Path(out) / f"{hashes[-1]}.jpg").write_bytes(data)
            shard.write(np.ascontiguousarray(image_HWC).data)
            size += image_HWC.nbytes
        shard.seek(0)
        np.lib.format.write_array_header_1_0(shard, header | {"shape": (size,)})
        shard.flush()
        os.fsync(shard.fileno())
    return hashes


def bare_pixels(data: bytes) -> np.ndarray:
    """Return the pixels of a JPEG, its short side 256 at most: uint8 [H, W, 3]."""
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    divisor = next(d for d in (8, 4, 2, 1) if d == 1 or min(height, width) // d >= SHORT_SIDE_PX)
    image_HWC = simplejpeg.decode_jpeg(
        data, min_height=-(-height // divisor), min_width=-(-width // divisor)
    )
    scale = SHORT_SIDE_PX / min(height, width)
    if scale >= 1:
        return image_HWC
    size = (round(width * scale), round(height * scale))
    if image_HWC.shape[1::-1] == size:
        return image_HWC
    return np.asarray(Image.fromarray(image_HWC).resize(size, Image.Resampling.BICUBIC))


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Collect the resident memory of this process and its children, in MB, every 0.2 s."""
    seen, stop, me = [0.0], threading.Event(), psutil.Process()

    def watch() -> None:
        while not stop.wait(0.2):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            seen.append(total / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def linked(photos: Path, folder: Path, count: int) -> Path:
    """Copy `count` photos (0: all), so that both sides read the same disk, cache warm."""
    files = sorted(photos.rglob("*.jpg"))
    step = max(1, len(files) // count) if count else 1
    for file in files[::step][: count or None]:
        target = folder / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return folder


def phone_photos(photos: Path, folder: Path, count: int) -> Path:
    """Make 12 MP JPEGs of 3 to 5 MB from small photos: upscaled, with a sensor's grain."""
    files = sorted(photos.rglob("*.jpg"))[:: max(1, sum(1 for _ in photos.rglob("*.jpg")) // count)]
    rng = np.random.default_rng(0)
    grain_HWC = rng.normal(0, 9, (*PHONE_SIZE_PX[::-1], 3)).astype(np.int16)
    for file in files[:count]:
        large = Image.open(file).convert("RGB").resize(PHONE_SIZE_PX, Image.Resampling.BICUBIC)
        noisy_HWC = np.asarray(large, np.int16) + np.roll(grain_HWC, rng.integers(4000), axis=1)
        data = _of_phone_size(Image.fromarray(noisy_HWC.clip(0, 255).astype(np.uint8)))
        target = folder / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def _of_phone_size(image: Image.Image) -> bytes:
    for quality in (86, 80, 74, 90, 68, 60):
        sink = io.BytesIO()
        image.save(sink, "JPEG", quality=quality, subsampling=2)
        if PHONE_BYTES[0] <= sink.tell() <= PHONE_BYTES[1]:
            break
    return sink.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
