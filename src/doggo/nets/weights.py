"""ImageNet weights that the owner downloaded: a folder of files, named by `DOGGO_WEIGHTS`.

Owns which file names stand for a network, and reading them so that nothing in them is run.
Knows nothing of what a network is fed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from doggo.core.errors import WeightsError

State = Mapping[str, Tensor]

_TORCHVISION = r"{network}(_[a-z]+)?-[0-9a-f]{{8}}\.pth"
"""The names under which torchvision publishes, such as `resnet18-f37072fd.pth`."""

_BATCHES_SEEN = "num_batches_tracked"  # of batch norm; files from before 2018 lack it


def find_weights(folder: Path, timm_name: str) -> Path | None:
    """Return the file in `folder` that is named after this network, or None.

    Taken in this order: `<timm name>.safetensors`, `<timm name>.pth`, torchvision's name.

    Raises:
        WeightsError: there is no such folder, or two files have torchvision's name.
    """
    if not folder.is_dir():
        raise WeightsError(f"DOGGO_WEIGHTS names {folder}, which is no folder: make it or unset it")
    for ending in ("safetensors", "pth"):
        file = folder / f"{timm_name}.{ending}"
        if file.is_file():
            return file
    pattern = _TORCHVISION.format(network=re.escape(timm_name.split(".", maxsplit=1)[0]))
    found = sorted(file for file in folder.glob("*.pth") if re.fullmatch(pattern, file.name))
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise WeightsError(f"{folder} holds {names}, both for {timm_name}: leave one of them")
    return found[0] if found else None


def load_weights(model: nn.Module, file: Path, name: str) -> None:
    """Copy the weights in `file` into a network.

    Args:
        name: of the network, for errors.

    Raises:
        WeightsError: the file is damaged, holds anything but tensors, or is another network's.
            Nothing in it was run and the network is as before.
    """
    published = _read(file)
    expected: State = model.state_dict()
    same = _same_names(published, expected)
    state = published if same else _by_place(published, expected)
    if state is None or any(state[key].shape != expected[key].shape for key in state):
        raise WeightsError(
            f"{file} does not hold the weights of {name}: it is another network's file; put the "
            "right one in its place"
        )
    model.load_state_dict(state, strict=False)


def _read(file: Path) -> State:
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        # weights_only: tensors and plain containers; anything else is refused, not run.
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError) as error:
        raise _damaged(file) from error
    except Exception as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise WeightsError(
                f"{file} holds more than weights, perhaps code; nothing of it was run: download "
                "the file anew from its publisher, best as safetensors"
            ) from error
        raise _damaged(file) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{file} holds no list of weights: download it anew")
    return state


def _damaged(file: Path) -> WeightsError:
    return WeightsError(f"{file} is cut short or damaged: download it anew")


def _same_names(state: State, expected: State) -> bool:
    lacking = {key for key in expected.keys() - state.keys() if not key.endswith(_BATCHES_SEEN)}
    return not lacking and state.keys() <= expected.keys()


def _by_place(state: State, expected: State) -> State | None:
    """Return torchvision's weights under timm's names, None if they do not fit.

    Both list a network's tensors in the order in which a picture walks through them. Where
    torchvision has a linear layer over a flattened map, timm has the same numbers as a
    convolution.
    """
    if len(state) != len(expected):
        return None
    pairs = list(zip(state.values(), expected.items(), strict=True))
    if any(ours.numel() != theirs.numel() or ours.shape[:1] != theirs.shape[:1]
           for ours, (_, theirs) in pairs):  # fmt: skip
        return None
    return {key: ours.reshape(theirs.shape) for ours, (key, theirs) in pairs}
