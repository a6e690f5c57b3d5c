"""A candidate: a trained network in a folder, before export seals it into a bundle.

Owns the folder's files: `network.safetensors` and, written last, `candidate.json` with its
sha256. Knows nothing of training or of bundles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from doggo.core.errors import BundleError, UsageError
from doggo.nets.network import DogNet, make_network
from doggo.storage.digest import file_sha256
from doggo.storage.whole import write_whole
from doggo.vision.view import View

_INFO, _NETWORK = "candidate.json", "network.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateInfo:
    """What a candidate is and where it comes from.

    Attributes:
        labels: breed keys in the order of the logits.
        recipe: how it was trained: `bootstrap` (not at all), `probe` or `finetune`.
        config: the resolved options of the run, as words.
        manifest_id: the dataset it saw, or None if it was not trained.
        run_id: the tracker's id of the run, if there is one.
        weights_sha256: of the ImageNet weights it started from.
    """

    backbone: str
    labels: tuple[str, ...]
    view: View
    recipe: str
    config: Mapping[str, str]
    manifest_id: str | None
    run_id: str | None
    weights_sha256: str
    seed: int
    git_revision: str


def save_candidate(folder: Path, info: CandidateInfo, network: DogNet) -> Path:
    """Write a candidate into `folder` (made if need be) and return it; the json comes last.

    Raises:
        StorageError: the disk refuses; the folder holds no candidate then.
    """
    (folder / _INFO).unlink(missing_ok=True)
    weights = save({key: value.contiguous() for key, value in network.state_dict().items()})
    write_whole(folder / _NETWORK, weights)
    values = {
        **asdict(info),
        "config": dict(info.config),
        "view": info.view.to_json(),
        "network_sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_whole(folder / _INFO, json.dumps(values, indent=2, sort_keys=True).encode())
    return folder


def load_candidate(folder: Path) -> tuple[CandidateInfo, DogNet]:
    """Return a candidate's description and its network in eval mode.

    Raises:
        BundleError: a file is missing, altered or not a candidate's.
    """
    info, network_sha256 = _read_info(folder)
    weights = folder / _NETWORK
    if not weights.is_file() or file_sha256(weights) != network_sha256:
        raise BundleError(
            f"{weights} is missing or was altered after training: train again to get a candidate"
        )
    network, _ = make_network(info.backbone, info.labels, pretrained=False)
    try:
        network.load_state_dict(load_file(weights), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise BundleError(f"{weights} does not fit a {info.backbone} network") from error
    return info, network.eval()


def _read_info(folder: Path) -> tuple[CandidateInfo, str]:
    file = folder / _INFO
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        network_sha256 = str(values.pop("network_sha256"))
        if set(values) != {field.name for field in fields(CandidateInfo)}:
            raise ValueError("other fields")
        values["labels"] = tuple(values["labels"])
        values["view"] = View.from_json(values["view"])
        return CandidateInfo(**values), network_sha256
    except FileNotFoundError as error:
        raise BundleError(f"{folder} holds no candidate: {_INFO} is not there") from error
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise BundleError(f"{file} is not a candidate's description: train again") from error
