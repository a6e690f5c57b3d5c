"""A folder of downloaded weights: the right file is found, read without running it, or refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from doggo.core.errors import WeightsError
from doggo.nets.backbones import backbone, build
from doggo.nets.imagenet import breed_classes
from doggo.nets.network import make_network
from doggo.nets.weights import find_weights, load_weights


def _resnet(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model: nn.Module = timm.create_model("resnet18", pretrained=False)
    return model.eval()


def _pixels(seed: int = 1) -> Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def _same(ours: nn.Module, theirs: nn.Module) -> bool:
    with torch.no_grad():
        return torch.allclose(ours(_pixels()), theirs(_pixels()), atol=1e-4)


@pytest.mark.parametrize(
    "file", ["resnet18.tv_in1k.safetensors", "resnet18.tv_in1k.pth", "resnet18-f37072fd.pth"]
)
@pytest.mark.parametrize("name", ["resnet", "resnet18.tv_in1k"])
def test_each_name_of_a_file_is_found(file: str, name: str, tmp_path: Path) -> None:
    original = _resnet()
    if file.endswith("pth"):
        torch.save(original.state_dict(), tmp_path / file)
    else:
        save_file(dict(original.state_dict()), tmp_path / file)
    loaded, sha256 = build(name, weights=tmp_path)
    assert sha256 == hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()
    for key, tensor in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor)
    assert not loaded.training


def test_torchvisions_efficientnet_answers_the_same_under_timms_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = torchvision.models.efficientnet_b0(weights=None).eval()
    with torch.no_grad():  # else every batch norm begins alike, and a mix-up would not show
        for name, tensor in published.state_dict().items():
            if tensor.is_floating_point():
                low = 0.5 if name.endswith("running_var") else -0.1
                tensor.copy_(torch.rand_like(tensor) * 0.2 + low)
    torch.save(published.state_dict(), tmp_path / "efficientnet_b0_rwightman-7f5810bc.pth")
    loaded, _ = build("efficientnet", weights=tmp_path)
    assert _same(loaded, published)


def _narrow_vggs() -> tuple[nn.Module, nn.Module]:
    """One network twice, as torchvision and as timm would write it."""
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(7)]
    heads = [nn.Linear(4 * 49, 8), nn.ReLU(), nn.Linear(8, 10)]
    tail = [nn.Conv2d(4, 8, 7), nn.ReLU(), nn.Conv2d(8, 10, 1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Flatten(), *heads), nn.Sequential(*layers, *tail)


def test_a_linear_layer_over_a_flattened_map_is_the_same_convolution(tmp_path: Path) -> None:
    theirs, ours = _narrow_vggs()
    torch.save(theirs.state_dict(), tmp_path / "vgg16-397923af.pth")
    for tensor in ours.parameters():
        nn.init.zeros_(tensor)
    theirs.load_state_dict(torch.load(tmp_path / "vgg16-397923af.pth", weights_only=True))
    load_weights(ours, tmp_path / "vgg16-397923af.pth", "vgg")
    assert _same(ours, theirs)


def test_torchvisions_vgg_fits_timms_tensor_by_tensor() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.vgg16(weights=None).state_dict()
        ours = timm.create_model(backbone("vgg").timm_name).state_dict()
    assert [t.numel() for t in theirs.values()] == [t.numel() for t in ours.values()]


@pytest.mark.parametrize(
    ("name", "timm_name", "interpolation"),
    [
        ("resnet", "resnet18.tv_in1k", "bilinear"),
        ("vgg", "vgg16.tv_in1k", "bilinear"),
        ("efficientnet", "efficientnet_b0.ra_in1k", "bicubic"),
        ("efficientnet_lite0", "tf_efficientnet_lite0", "bicubic"),
    ],
)
def test_short_names_bring_their_own_pictures(
    name: str, timm_name: str, interpolation: str
) -> None:
    spec = backbone(name)
    assert (spec.name, spec.timm_name) == (name, timm_name)
    assert (spec.size_px, spec.resize_px, spec.interpolation) == (224, 256, interpolation)
    assert spec.view(256).interpolation == interpolation
    if not name.endswith("lite0"):
        assert spec.mean == pytest.approx((123.675, 116.28, 103.53))
        assert spec.std == pytest.approx((58.395, 57.12, 57.375))


def test_heads_begin_with_imagenets_rows_of_the_file(tmp_path: Path) -> None:
    original = _resnet()
    save_file(dict(original.state_dict()), tmp_path / "resnet18.tv_in1k.safetensors")
    network, _ = make_network("resnet", ("beagle", "pug"), weights=tmp_path)
    rows = original.get_classifier().weight  # type: ignore[operator]
    assert torch.equal(network.breed_head.weight[0], rows[breed_classes()["beagle"]])
    assert torch.equal(network.imagenet_head.weight, rows)


class _Runs:
    """Unpickling this makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.file,)


def _write(kind: str, file: Path) -> None:
    state: Mapping[str, Tensor] = _resnet().state_dict()
    if kind == "code":
        torch.save({"fc.weight": _Runs(file.parent / "ran")}, file)
    elif kind == "whole module":
        torch.save(nn.Linear(2, 2), file)
    elif kind == "text":
        file.write_text("<html>not found</html>")
    elif kind == "empty":
        file.touch()
    elif kind == "list":
        torch.save([1, 2, 3], file)
    elif kind == "another network":
        torch.save(timm.create_model("test_resnet").state_dict(), file)
    else:
        torch.save(state, file)
        file.write_bytes(file.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("code", "holds more than weights, perhaps code; nothing of it was run"),
        ("whole module", "holds more than weights"),
        ("text", "download"),
        ("empty", "cut short or damaged"),
        ("list", "holds no list of weights"),
        ("another network", "another network's file"),
        ("cut", "cut short or damaged"),
    ],
)
@pytest.mark.parametrize("name", ["resnet18.tv_in1k.pth", "resnet18-f37072fd.pth"])
def test_a_wrong_file_is_one_line_and_nothing_in_it_runs(
    kind: str, said: str, name: str, tmp_path: Path
) -> None:
    _write(kind, tmp_path / name)
    with pytest.raises(WeightsError, match=said) as caught:
        build("resnet", weights=tmp_path)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep_bytes", [0, 4, 100, 100_000])
def test_safetensors_that_are_cut_short_are_refused(keep_bytes: int, tmp_path: Path) -> None:
    file = tmp_path / "resnet18.tv_in1k.safetensors"
    save_file(dict(_resnet().state_dict()), file)
    file.write_bytes(file.read_bytes()[:keep_bytes])
    with pytest.raises(WeightsError, match="cut short or damaged"):
        build("resnet", weights=tmp_path)


def test_two_files_for_one_network_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("resnet18-f37072fd.pth", "resnet18-5c106cde.pth"):
        (tmp_path / name).touch()
    with pytest.raises(WeightsError, match="leave one"):
        find_weights(tmp_path, "resnet18.tv_in1k")


def test_files_of_other_networks_are_left_alone(tmp_path: Path) -> None:
    for name in ("resnet101-63fe2227.pth", "resnet18.a1_in1k.safetensors", "README.pth"):
        (tmp_path / name).touch()
    assert find_weights(tmp_path, "resnet18.tv_in1k") is None


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="which is no folder"):
        build("resnet", weights=tmp_path / "nowhere")


def test_a_network_of_one_size_refuses_another() -> None:
    assert backbone("test_vit.r160_in1k").view(256).size_px == 160
    with pytest.raises(Exception, match="takes squares of 160 px only"):
        backbone("test_vit.r160_in1k").view(256, 128)
