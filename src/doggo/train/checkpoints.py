"""Checkpoints of a training, and the folder of a fine-tune that may be killed and goes on.

Owns the files: `best.ckpt` and `last.ckpt` by epoch, each whole or not there, and the `done.ckpt`
of a fine-tune, written last. Nothing in them is unpickled but tensors and plain values.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from doggo.core.errors import InputError, StorageError
from doggo.core.os_errors import explain_os_error
from doggo.train.curve import SELECTION, Epoch

BEST, LAST, DONE = "best.ckpt", "last.ckpt", "done.ckpt"
_KEPT_S = 7 * 86_400


class WholeFiles(TorchCheckpointIO):  # type: ignore[misc]  # Lightning's types are not followed
    """Writes a checkpoint beside its place and moves it there when it is on disk.

    Lightning's own writer goes through the system's temporary folder, which may be on another
    disk: then a kill leaves half a file in the place of a whole one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write a file; it is whole or as before."""
        save(checkpoint, Path(path))


class KeptEpoch(ModelCheckpoint):  # type: ignore[misc]  # as above
    """Lightning's checkpoint, without its warning of files in the folder, which is ours.

    To word that warning it imports the client of every cloud that is installed: a second.
    """

    save_top_k: int

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Do what Lightning does where nothing is to be saved."""
        kept, self.save_top_k = self.save_top_k, 0
        super().setup(trainer, pl_module, stage)
        self.save_top_k = kept


def kept_epochs(folder: Path, *, weights_only: bool = False) -> list[KeptEpoch]:
    """Return the callbacks that write the best epoch and the last one.

    Args:
        weights_only: leave out what going on needs, such as the optimizer's figures.
    """
    # Two of them: Lightning's `save_last` writes only when the best one changes.
    chosen: Mapping[str, Mapping[str, Any]] = {
        BEST: {"monitor": SELECTION, "mode": "max"},
        LAST: {"monitor": None},
    }
    return [
        KeptEpoch(
            dirpath=folder,
            filename=Path(name).stem,
            save_weights_only=weights_only,
            enable_version_counter=False,
            **how,
        )
        for name, how in chosen.items()
    ]


def save(values: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values to a file; it is whole or as before.

    Raises:
        StorageError: the disk refuses.
    """
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(values, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into the second
        temporary.unlink(missing_ok=True)
        why = explain_os_error(error) if isinstance(error, OSError) else "the disk refused"
        raise StorageError(f"cannot keep the checkpoint {path}: {why}") from error


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote."""
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def is_done(folder: Path) -> bool:
    """Return whether the training in this folder came to its end."""
    return (folder / DONE).is_file()


def curve_of(checkpoint: Mapping[str, Any]) -> list[Epoch]:
    """Return the curve that a checkpoint carries."""
    return [Epoch(**values) for values in checkpoint["curve"]]


def plain(curve: Sequence[Epoch]) -> list[dict[str, Any]]:
    """Return a curve as a checkpoint carries it."""
    return [asdict(epoch) for epoch in curve]


@contextmanager
def checkpoint_folder(root: Path, what: Mapping[str, object]) -> Iterator[Path]:
    """Give the folder of this very training, alone.

    Args:
        what: everything that the result depends on, as plain values.

    Raises:
        InputError: another process is at it.

    Side effects: folders of other trainings that nobody touched for a week are removed.
    """
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    folder = root / digest[:16]
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(_lock_of(folder), timeout=0):
            _remove_old(root, folder)
            folder.mkdir(exist_ok=True)
            yield folder
    except Timeout as error:
        raise InputError(
            "the same training is under way in another process: wait for it, or change an option"
        ) from error


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove_old(root: Path, but: Path) -> None:
    for folder in {place.with_suffix("") for place in root.iterdir()} - {but}:
        if time.time() - _touched_at(folder) <= _KEPT_S:
            continue
        with suppress(Timeout), FileLock(_lock_of(folder), timeout=0):  # not one that goes on now
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def _touched_at(folder: Path) -> float:
    newest = 0.0
    for place in (_lock_of(folder), folder, *folder.glob("*")):
        with suppress(FileNotFoundError):  # a neighbour may end meanwhile
            newest = max(newest, place.stat().st_mtime)
    return newest
