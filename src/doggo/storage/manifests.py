"""Dataset manifests in the processed bucket: one Parquet file each, immutable.

Owns a manifest's id and format, and which one is the latest (a small object written last).
Knows nothing of how rows are chosen.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from doggo.core.errors import InputError, StorageError, UsageError
from doggo.core.records import Manifest, ManifestRow, Origin, Split
from doggo.storage.buckets import Bucket
from doggo.storage.pixels import PixelKey

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
LATEST = "manifests/latest"

_COLUMNS = tuple(field.name for field in fields(ManifestRow))


def manifest_of(rows: tuple[ManifestRow, ...], key: PixelKey, seed: int) -> Manifest:
    """Return the manifest of these rows, with its id.

    The id is of what a model sees (photos, labels, sides, how pixels are made), not of where
    the bytes lie: the same data in another home or another shard has the same id.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(key), seed]).encode())
    for row in rows:
        fields_seen = (row.photo_id, row.breed, row.split, row.group_id, row.origin)
        digest.update("\n".join((*fields_seen, str(row.may_be_shown), "")).encode())
    return Manifest(
        manifest_id=digest.hexdigest()[:16],
        short_side_px=key.short_side_px,
        decoder=key.decoder,
        step=key.step,
        seed=seed,
        rows=rows,
    )


def save(bucket: Bucket, manifest: Manifest) -> None:
    """Write a manifest and make it the latest; the same data is written once.

    Raises:
        StorageError: the bucket refuses.
        UsageError: pyarrow is not installed.
    """
    pq, key = _parquet(), _key(manifest.manifest_id)
    if not _holds(bucket, manifest):
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        pq.write_table(_table(manifest), sink, compression="zstd")
        bucket.write(key, sink.getvalue().to_pybytes())
    if latest_id(bucket) != manifest.manifest_id:
        bucket.write(LATEST, manifest.manifest_id.encode())


def _holds(bucket: Bucket, manifest: Manifest) -> bool:
    """Whether a manifest is there, whole; the same data may lie in other shards by now."""
    try:
        return load(bucket, manifest.manifest_id) == manifest
    except (InputError, StorageError):
        return False


def load(bucket: Bucket, manifest_id: str | None = None) -> Manifest:
    """Return a manifest, by default the latest.

    Raises:
        InputError: there is none.
        StorageError: it is damaged, or the latest is lost; `preprocess` makes it again.
        UsageError: pyarrow is not installed.
    """
    pq = _parquet()
    latest = manifest_id is None
    if manifest_id is None:
        manifest_id = latest_id(bucket)
        if manifest_id is None:
            raise InputError("there is no dataset yet: run `doggo preprocess`")
    key = _key(manifest_id)
    if not bucket.exists(key):
        if latest:
            raise StorageError(
                f"the newest dataset {manifest_id} is lost: `doggo preprocess` makes it again"
            )
        known = ", ".join(saved_ids(bucket)) or "none yet: run `doggo preprocess`"
        raise InputError(f"there is no dataset {manifest_id}; those here: {known}")
    import pyarrow as pa

    try:
        table = pq.read_table(pa.BufferReader(bucket.read(key)))
        about = json.loads(table.schema.metadata[b"doggo"])
        columns = [table.column(name).to_pylist() for name in _COLUMNS]
        pixel_key = PixelKey(about["short_side_px"], about["decoder"], about["step"])
        rows = tuple(_rows(columns))
        manifest = manifest_of(rows, pixel_key, about["seed"])
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise StorageError(
            f"the dataset {manifest_id} is damaged ({error}): `doggo preprocess` makes the newest "
            "again"
        ) from error
    if manifest.manifest_id != manifest_id:
        raise StorageError(
            f"the dataset {manifest_id} was altered: its rows make {manifest.manifest_id}; "
            "run `doggo preprocess` again"
        )
    return manifest


def newest(bucket: Bucket) -> Manifest | None:
    """Return the latest manifest, or None before the first.

    Raises:
        StorageError, UsageError: as `load`.
    """
    return load(bucket) if latest_id(bucket) is not None else None


def latest_id(bucket: Bucket) -> str | None:
    """Return the id of the latest manifest, or None."""
    return bucket.read(LATEST).decode().strip() if bucket.exists(LATEST) else None


def saved_ids(bucket: Bucket) -> list[str]:
    """Return the ids of all manifests, sorted."""
    keys = bucket.list("manifests/")
    return [key[10:-8] for key in keys if key.endswith(".parquet")]


def _key(manifest_id: str) -> str:
    return f"manifests/{manifest_id}.parquet"


def _table(manifest: Manifest) -> pa.Table:
    import pyarrow as pa

    about = {
        "format": FORMAT,
        "manifest_id": manifest.manifest_id,
        "short_side_px": manifest.short_side_px,
        "decoder": manifest.decoder,
        "step": manifest.step,
        "seed": manifest.seed,
    }
    columns = [_column([getattr(row, name) for row in manifest.rows]) for name in _COLUMNS]
    table = pa.Table.from_arrays(columns, names=list(_COLUMNS))
    return table.replace_schema_metadata({"doggo": json.dumps(about)})


def _column(values: list[str] | list[int] | list[bool]) -> pa.Array:
    """Make an Arrow array from its buffers: `pa.array` would import pandas, half a second."""
    import pyarrow as pa

    count, first = len(values), values[0]
    if isinstance(first, bool):
        bits = np.packbits(np.array(values, np.bool_), bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), count, [None, pa.py_buffer(bits)])
    if isinstance(first, int):
        numbers = np.array(values, np.int64)
        return pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(numbers)])
    texts = [str(value).encode() for value in values]
    ends = np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.large_string(), count, buffers)


def _rows(columns: list[list[object]]) -> Iterator[ManifestRow]:
    for values in zip(*columns, strict=True):
        row = dict(zip(_COLUMNS, values, strict=True))
        row["split"], row["origin"] = Split(str(row["split"])), Origin(str(row["origin"]))
        yield ManifestRow(**row)


def _parquet() -> ModuleType:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise UsageError(
            "datasets are Parquet files: install pyarrow with `pip install 'doggo[train]'`"
        ) from error


def read_raw(raw: Bucket, row: ManifestRow) -> bytes:
    """Return the bytes of a dataset's photo as they were taken in.

    Raises:
        StorageError: they are not there, or are other ones by now.
    """
    data = raw.read(row.raw_key)
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise StorageError(f"{row.raw_uri} was altered since intake")
    return data
