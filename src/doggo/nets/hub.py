"""ImageNet weights from timm's hub: found in its cache, or fetched once.

Owns the asking and its one line when nobody answers. Knows nothing of networks.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from timm.models import get_pretrained_cfg

from doggo.core.errors import WeightsError

_PROBE_TIMEOUT_S = 5.0


def hub_file(name: str, timm_name: str, otherwise: str) -> Path:
    """Return the network's safetensors file in the hub's cache, fetched if need be.

    Only safetensors are taken: nothing that is downloaded is unpickled.

    Args:
        name: what the owner typed, for errors.
        otherwise: a network whose weights are installed, for errors.

    Raises:
        WeightsError: none are published, or they are not here and the hub does not answer.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    cfg = get_pretrained_cfg(timm_name)
    repository = cfg.hf_hub_id if cfg is not None else None
    if not repository:
        raise WeightsError(f"no weights are published for {name}: choose another model")
    file = "model.safetensors"
    with suppress(LocalEntryNotFoundError):
        return Path(hf_hub_download(repository, file, local_files_only=True))
    # The hub's client retries for 47 s without a network (measured): ask once before it does.
    if constants.HF_HUB_OFFLINE or not _answers(f"{constants.ENDPOINT}/{repository}"):
        raise WeightsError(
            f"the weights of {name} are not on this machine and {constants.ENDPOINT} does not "
            f"answer: connect once, put {timm_name}.safetensors into a folder and name it in "
            f"DOGGO_WEIGHTS, or use {otherwise}, whose weights are installed"
        )
    try:
        return Path(hf_hub_download(repository, file))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise WeightsError(
            f"cannot fetch {file} of {repository}: {str(error).splitlines()[0]}; try again or "
            f"use {otherwise}, whose weights are installed"
        ) from error


def _answers(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the hub's own https URL
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT_S):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True  # it answers; what it says is for the download to tell
    except (OSError, ValueError):
        return False
