"""Export: a candidate becomes a sealed bundle.

Writes the network in its shipped formats, compares them with the trained one, measures on
validation photos, and seals. Knows nothing of versions or of the gate.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save

from doggo.core.errors import InputError, StorageError
from doggo.core.os_errors import explain_os_error
from doggo.core.progress import Progress, silent
from doggo.core.records import Manifest
from doggo.export.compare import PARITY_PHOTOS, check_parity
from doggo.export.formats import write_onnx, write_torchscript
from doggo.export.measure import KnownFeatures, Measured, ValidationPhotos, measure
from doggo.nets.candidate import CandidateInfo, load_candidate
from doggo.nets.network import DogNet, features_sha256
from doggo.storage.disk import need_disk
from doggo.storage.shards import PixelReader
from doggo.vision.bundle import NETWORK_FILE, Bundle, Parity, seal, write_validation
from doggo.vision.embeddings import EmbeddingCache
from doggo.vision.photo import decoder_name
from doggo.vision.runtime import Opener, open_session
from doggo.vision.step import step_name

_DRAWN = 8
_FORMATS = 3  # each holds the weights once


def _nothing() -> None:
    """Leave all as it is."""


def export(
    candidate: Path,
    out: Path,
    *,
    manifest: Manifest | None = None,
    pixels: PixelReader | None = None,
    cache: Path | None = None,
    open_network: Opener = open_session,
    before_measuring: Callable[[], None] = _nothing,
    progress: Progress = silent,
) -> Path:
    """Seal a candidate into a bundle at `out` and return `out`.

    Args:
        out: must not exist; it appears only once the bundle is sealed.
        manifest, pixels: whose validation photos to fit and compare on; without them the
            defaults of `export.calibrate` stand in, and parity is checked on drawn pictures.
        cache: folder for what can be computed again, as given to training; None: keep nothing.
        open_network: opens the shipped network, for the trials of its runtimes.
        before_measuring: called before a runtime is timed: whatever else is at work has to end.

    Raises:
        BundleError: the candidate is damaged, or an exported file answers differently.
        InputError: `out` exists, or the dataset's pixels are not those of the network's view.
        StorageError: the disk refuses. In every case nothing is left behind.
    """
    if out.exists():
        raise InputError(f"{out} is already there: export writes a new folder")
    info, network = load_candidate(candidate)
    photos = None
    if manifest is not None and pixels is not None:
        photos = ValidationPhotos(manifest, pixels, info.view, info.labels)
    need_disk(out, _FORMATS * _weights_bytes(network), "the exported model")
    staged = out.parent / f".tmp-{out.name}-{secrets.token_hex(4)}"
    try:
        staged.mkdir(parents=True)
        _write_network(staged, info, network)
        parity = _parity(staged, info, network, photos)
        known = _known_features(cache, network)
        before_measuring()
        measured = measure(
            staged / NETWORK_FILE, photos, known, open_network=open_network, progress=progress
        )
        write_validation(staged, measured.validation)
        seal(staged, _bundle(info, manifest, parity, measured))
        staged.rename(out)
    except OSError as error:
        raise StorageError(f"cannot export to {out}: {explain_os_error(error)}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return out


def _known_features(cache: Path | None, network: DogNet) -> KnownFeatures | None:
    if cache is None:
        return None
    return KnownFeatures(cache=EmbeddingCache(cache), sha256=features_sha256(network.features))


def _weights_bytes(network: DogNet) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


def _write_network(folder: Path, info: CandidateInfo, network: DogNet) -> None:
    write_onnx(network, info.view.size_px, folder / NETWORK_FILE)
    write_torchscript(network, info.view.size_px, folder / "model.ts")
    weights = {key: value.contiguous() for key, value in network.state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(weights))
    (folder / "labels.json").write_text(json.dumps(info.labels, indent=1) + "\n")


def _parity(
    folder: Path, info: CandidateInfo, network: DogNet, photos: ValidationPhotos | None
) -> Parity:
    real = photos is not None and len(photos) > 0
    some = slice(PARITY_PHOTOS)
    images_NHWC = photos.images(some) if photos and real else _drawn(info.view.size_px)
    return check_parity(network, folder, images_NHWC, real=real)


def _bundle(
    info: CandidateInfo, manifest: Manifest | None, parity: Parity, measured: Measured
) -> Bundle:
    return Bundle(
        name=info.backbone,
        labels=info.labels,
        view=info.view,
        decoder=decoder_name() if manifest is None else manifest.decoder,
        step=step_name() if manifest is None else manifest.step,
        temperature=measured.calibration.temperature,
        thresholds=measured.calibration.thresholds,
        calibration=measured.calibration.note,
        manifest_id=info.manifest_id,
        backbone=info.backbone,
        weights_sha256=info.weights_sha256,
        recipe=info.recipe,
        config=dict(info.config),
        run_id=info.run_id,
        git_revision=info.git_revision,
        parity=parity,
        trials=measured.trials,
    )


def _drawn(size_px: int) -> NDArray[np.uint8]:
    """Return coloured noise of several grains: uint8 [8, size_px, size_px, 3]."""
    rng = np.random.default_rng(0)
    grains_px = [2**power for power in range(_DRAWN)]
    images = [rng.integers(0, 256, (size_px, size_px, 3), dtype=np.uint8) for _ in grains_px]
    places = [np.arange(size_px) // grain_px for grain_px in grains_px]
    return np.stack([image[at][:, at] for image, at in zip(images, places, strict=True)])
