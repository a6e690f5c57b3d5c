"""Formats of shards: ours (npy, memory-mapped) beside WebDataset, Parquet with JPEG, and litdata.

The same canonical photos are written and read back by one process each: through in stored order,
and one by one in a random order. A photo counts as read when its pixels are in an array of its
own. Files are in the page cache: what is compared is the formats' work, not the disk. `exact` says
whether the pixels come back as they were. `one photo` is what must be fetched from an object
store for one photo; `10,000/s` what a GPU that takes so many would read.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

from _dataset import SKIPPED, make_dataset, photos_folder
from doggo.storage.shards import map_shard, write_shard

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements-shards.txt"
PER_BREED = 12
SHARD_PHOTOS = 128
QUALITY = 95
RANDOM_READS = 300
ROUNDS = 3
BAR = 3.0
"""How many times as fast as the quickest JPEG format ours must read, in order and at random: less
would not be worth six times the bytes."""

Image = np.ndarray
Random = Callable[[int], Image]


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one format is written and read; `open_random` is None where it has no random access."""

    name: str
    write: Callable[[Path, Sequence[Image]], None]
    read: Callable[[Path], Iterator[Image]]
    open_random: Callable[[Path], Random] | None
    fetched_for_one: Callable[[Path], int]


def main() -> int:
    folder = photos_folder()
    if folder is None or not _peers():
        return SKIPPED
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as work:
        manifest, pixels = make_dataset(folder, Path(work), PER_BREED)
        images = [np.array(pixels.image(row)) for row in manifest.rows]
        print(
            f"{len(images)} photos of {images[0].nbytes // 1000} kB, one process, {ROUNDS} rounds"
        )
        print(
            f"{'':24}{'write':>9}{'in order':>11}{'random':>10}{'a photo':>10}"
            f"{'exact':>7}{'one photo':>12}{'10,000/s':>11}"
        )
        rates = {form.name: _told(form, Path(work) / "out", images) for form in formats()}
    ours, jpeg = rates["npy, mapped (ours)"], [r for n, r in rates.items() if "JPEG" in n]
    in_order = ours[0] / max(rate for rate, _ in jpeg)
    at_random = ours[1] / max(rate for _, rate in jpeg)
    held = min(in_order, at_random) >= BAR
    print(f"ours beside the quickest JPEG: {in_order:.0f}x in order, {at_random:.0f}x at random")
    print(f"bar: at least {BAR:.0f}x: {'holds' if held else 'BELOW'}")
    return 0 if held else 1


def _told(form: Format, out: Path, images: Sequence[Image]) -> tuple[float, float]:
    """Measure a format, print its line, and return photos/s in order and at random."""
    written, through, single = [], [], []
    for _ in range(ROUNDS):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        written.append(_timed(lambda: form.write(out, images)))
        through.append(_timed(lambda: _drain(form.read(out))))
        if form.open_random:
            read = form.open_random(out)
            places = random.Random(0).sample(range(len(images)), min(RANDOM_READS, len(images)))
            single.append(_timed(partial(_read_all, read, places)) / len(places))
    exact = all(np.array_equal(a, b) for a, b in zip(form.read(out), images, strict=True))
    each = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / len(images)
    write_s, read_s = (len(images) / statistics.median(times) for times in (written, through))
    random_s = 1 / statistics.median(single) if single else 0.0
    print(
        f"{form.name:24}{write_s:7.0f}/s{read_s:9.0f}/s"
        f"{f'{random_s:8.0f}/s' if single else '      none'}{each / 1000:7.0f} kB"
        f"{'yes' if exact else 'no':>7}{form.fetched_for_one(out) / 1e6:9.2f} MB"
        f"{each / 1e5:6.2f} GB/s",
        flush=True,
    )
    return read_s, random_s


def formats() -> list[Format]:
    """Return the contestants; the peers are imported here, once they are installed."""
    return [
        Format(
            name="npy, mapped (ours)",
            write=_write_npy,
            read=_read_npy,
            open_random=_random_npy,
            fetched_for_one=_largest,
        ),
        Format(
            name="WebDataset, arrays",
            write=lambda out, images: _write_tar(out, images, _array_bytes, "npy"),
            read=lambda out: _read_tar(out, "npy", _array_of),
            open_random=None,
            fetched_for_one=_largest,
        ),
        Format(
            name=f"WebDataset, JPEG q{QUALITY}",
            write=lambda out, images: _write_tar(out, images, _jpeg, "jpg"),
            read=lambda out: _read_tar(out, "jpg", simplejpeg.decode_jpeg),
            open_random=None,
            fetched_for_one=_largest,
        ),
        Format(
            name=f"Parquet, JPEG q{QUALITY}",
            write=_write_parquet,
            read=_read_parquet,
            open_random=_random_parquet,
            fetched_for_one=_row_group,
        ),
        Format(
            name="litdata, arrays",
            write=lambda out, images: _write_litdata(out, images, lambda image: image),
            read=lambda out: _read_litdata(out, np.array),
            open_random=lambda out: _random_litdata(out, np.array),
            fetched_for_one=_largest,
        ),
        Format(
            name=f"litdata, JPEG q{QUALITY}",
            write=lambda out, images: _write_litdata(out, images, _jpeg),
            read=lambda out: _read_litdata(out, simplejpeg.decode_jpeg),
            open_random=lambda out: _random_litdata(out, simplejpeg.decode_jpeg),
            fetched_for_one=_largest,
        ),
    ]


def _write_npy(out: Path, images: Sequence[Image]) -> None:
    index = []
    for number, some in enumerate(_batches(images)):
        offsets = write_shard(out / f"{number:04}.npy", some)
        shapes = [image.shape for image in some]
        index += [(number, offset, shape) for offset, shape in zip(offsets, shapes, strict=True)]
    (out / "index.json").write_text(json.dumps(index))


def _random_npy(out: Path) -> Random:
    index = json.loads((out / "index.json").read_text())
    maps = {n: map_shard(out / f"{n:04}.npy") for n in {number for number, _, _ in index}}

    def read(place: int) -> Image:
        number, offset, shape = index[place]
        return np.array(maps[number][offset : offset + int(np.prod(shape))].reshape(shape))

    return read


def _read_npy(out: Path) -> Iterator[Image]:
    read = _random_npy(out)
    for place in range(len(json.loads((out / "index.json").read_text()))):
        yield read(place)


def _write_tar(
    out: Path, images: Sequence[Image], encode: Callable[[Image], bytes], kind: str
) -> None:
    import webdataset

    for number, some in enumerate(_batches(images)):
        with webdataset.TarWriter(str(out / f"{number:04}.tar"), encoder=False) as tar:
            for n, image in enumerate(some):
                tar.write({"__key__": f"{number:04}{n:04}", kind: encode(image)})


def _read_tar(out: Path, kind: str, decode: Callable[[bytes], Image]) -> Iterator[Image]:
    import webdataset

    tars = [str(path) for path in sorted(out.glob("*.tar"))]
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        yield decode(sample[kind])


def _write_parquet(out: Path, images: Sequence[Image]) -> None:
    table = pa.table({"jpeg": pa.array([_jpeg(image) for image in images], pa.binary())})
    pq.write_table(table, out / "photos.parquet", row_group_size=SHARD_PHOTOS, compression="none")


def _read_parquet(out: Path) -> Iterator[Image]:
    for batch in pq.ParquetFile(out / "photos.parquet").iter_batches(SHARD_PHOTOS):
        for value in batch.column("jpeg"):
            yield simplejpeg.decode_jpeg(value.as_py())


def _random_parquet(out: Path) -> Random:
    file = pq.ParquetFile(out / "photos.parquet")

    def read(place: int) -> Image:
        group = file.read_row_group(place // SHARD_PHOTOS)
        return simplejpeg.decode_jpeg(group.column("jpeg")[place % SHARD_PHOTOS].as_py())

    return read


def _write_litdata(
    out: Path, images: Sequence[Image], encode: Callable[[Image], Image | bytes]
) -> None:
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(out), chunk_size=SHARD_PHOTOS)
    for n, image in enumerate(images):
        writer[n] = encode(image)
    writer.done()
    writer.merge()


def _read_litdata(out: Path, decode: Callable[[object], Image]) -> Iterator[Image]:
    from litdata import StreamingDataset

    for item in StreamingDataset(str(out)):
        yield decode(item)


def _random_litdata(out: Path, decode: Callable[[object], Image]) -> Random:
    from litdata import StreamingDataset

    dataset = StreamingDataset(str(out))
    return lambda place: decode(dataset[place])


def _jpeg(image: Image) -> bytes:
    return simplejpeg.encode_jpeg(image, quality=QUALITY, colorsubsampling="444")


def _array_bytes(image: Image) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image)
    return buffer.getvalue()


def _array_of(data: bytes) -> Image:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _batches(images: Sequence[Image]) -> Iterator[Sequence[Image]]:
    for start in range(0, len(images), SHARD_PHOTOS):
        yield images[start : start + SHARD_PHOTOS]


def _largest(out: Path) -> int:
    """Bytes of the file that holds a photo: it is fetched whole."""
    return max(path.stat().st_size for path in out.rglob("*") if path.is_file())


def _row_group(out: Path) -> int:
    about = pq.ParquetFile(out / "photos.parquet").metadata
    return max(about.row_group(n).total_byte_size for n in range(about.num_row_groups))


def _drain(images: Iterable[Image]) -> int:
    return sum(1 for _ in images)


def _read_all(read: Random, places: Sequence[int]) -> None:
    for place in places:
        read(place)


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def _peers() -> bool:
    """Make the pinned peers importable beside our own packages; False if they cannot be had."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    venv = cache / "doggo" / f"shards-{digest}"
    if not (venv / "complete").exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        wanted = ["--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)]
        install = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted]
        if subprocess.run(install, check=False, capture_output=True).returncode:
            print("skipped: the peers cannot be installed (is the package registry reachable?)")
            return False
        (venv / "complete").touch()
    sys.path += [str(path) for path in venv.glob("lib/python*/site-packages")]
    return True


if __name__ == "__main__":
    sys.exit(main())
