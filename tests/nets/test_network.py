"""The two-headed network: its heads, its start and that it survives tracing and export."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from doggo.core.errors import UsageError
from doggo.nets.features_graph import features_graph
from doggo.nets.imagenet import breed_classes
from doggo.nets.network import make_network, start_rows
from doggo.vision.pairs import REFERENCE
from doggo.vision.runtime import open_session

LABELS = tuple(breed_classes())


def _pixels(n: int, size_px: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (n, size_px, size_px, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_restricted_to_120_breeds_it_answers_as_the_imagenet_head() -> None:
    network, _ = make_network("efficientnet_lite0", LABELS)
    images = _pixels(2, 224)
    with torch.no_grad():
        logits, dog_mass, known_share, _ = network(images)
        imagenet = network.imagenet_head(network.features(images))
    columns = [breed_classes()[label] for label in LABELS]
    assert torch.equal(logits, imagenet[:, columns])
    dogs = [*range(151, 269), 273, 274, 275]
    mass_N = imagenet.softmax(1)[:, dogs].sum(1)
    assert torch.allclose(dog_mass, mass_N)
    assert torch.allclose(known_share, imagenet.softmax(1)[:, columns].sum(1) / mass_N)


def test_the_known_share_is_what_imagenet_gives_to_the_models_own_breeds(
    foolbox_photos: list[Path],
) -> None:
    [mastiff] = [file for file in foolbox_photos if file.stem.endswith("_243")]
    image = Image.open(mastiff).convert("RGB").resize((256, 256), Image.Resampling.BICUBIC)
    square = torch.from_numpy(np.array(image)[16:240, 16:240])[None]

    def known_share(*labels: str) -> float:
        network, _ = make_network("efficientnet_lite0", labels)
        with torch.no_grad():
            return float(network(square)[2])

    with_it = known_share("beagle", "bull_mastiff", "samoyed")
    without_it = known_share("beagle", "samoyed")
    assert 0 <= without_it < 0.01
    assert 0.5 < with_it <= 1
    assert known_share("samoyed", "bull_mastiff") + without_it < 1 + 1e-6


def test_of_a_breed_that_imagenet_has_not_the_known_share_says_nothing() -> None:
    network, _ = make_network("efficientnet_lite0", ("beagle", "labradoodle"), pretrained=False)
    features_ND = torch.randn(2, 1280)
    logits_NK = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    beagle, labradoodle = network.known_share(features_ND, logits_NK).tolist()
    assert 0 < beagle < 1
    assert labradoodle == 1


def test_dogs_have_a_high_dog_mass_and_other_things_a_low_one(foolbox_photos: list[Path]) -> None:
    network, _ = make_network("efficientnet_lite0", LABELS[:3])
    for file in foolbox_photos:
        image = Image.open(file).convert("RGB").resize((256, 256), Image.Resampling.BICUBIC)
        square = torch.from_numpy(np.array(image)[16:240, 16:240])[None]
        with torch.no_grad():
            mass = float(network(square)[1])
        is_dog = file.stem.endswith(("_243", "_251"))
        assert (mass > 0.5) == is_dog, file.name


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg16", "efficientnet_b0", "convnext_atto", "mobilenetv3_small_100"]
)
def test_any_timm_network_can_carry_the_heads(name: str) -> None:
    torch.manual_seed(0)
    network, _ = make_network(name, ("a", "b", "c"), pretrained=False)
    with torch.no_grad():
        logits, dog_mass, known_share, features = network(_pixels(1, 224))
    assert logits.shape == (1, 3)
    assert dog_mass.shape == known_share.shape == (1,)
    assert features.shape == (1, network.breed_head.in_features)
    assert 0 < float(dog_mass) < 1


def test_a_network_that_does_not_end_in_a_linear_layer_is_refused() -> None:
    with pytest.raises(UsageError, match="does not end in one linear layer"):
        make_network("levit_128s", ("a", "b"), pretrained=False)


def test_new_breeds_start_from_the_average_row_and_known_ones_from_theirs() -> None:
    network, _ = make_network("efficientnet_lite0", ("beagle", "labradoodle"), pretrained=False)
    head = network.imagenet_head
    known = list(breed_classes().values())
    assert torch.equal(network.breed_head.weight[0], head.weight[breed_classes()["beagle"]])
    assert torch.allclose(network.breed_head.weight[1], head.weight[known].mean(0), atol=1e-6)


def test_class_means_pull_a_new_breed_towards_its_own_photos_only() -> None:
    network, _ = make_network("resnet18", ("labradoodle", "beagle", "cockapoo"), pretrained=False)
    means = torch.randn(3, 512, generator=torch.Generator().manual_seed(1))
    plain, plain_bias = start_rows(network.imagenet_head, ("labradoodle", "beagle", "cockapoo"))
    weight, bias = start_rows(network.imagenet_head, ("labradoodle", "beagle", "cockapoo"), means)
    gained = (means @ weight.T + bias) - (means @ plain.T + plain_bias)
    assert torch.equal(weight[1], plain[1])
    assert gained[0, 0] > 0 > gained[2, 0]
    assert gained[2, 2] > 0 > gained[0, 2]


def test_a_traced_network_gives_the_same_bits() -> None:
    network, _ = make_network("efficientnet_lite0", LABELS)
    images = _pixels(3, 224)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.trace(network, (images[:1],))
        for ours, theirs in zip(network(images), traced(images), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_features_graph_computes_what_the_body_does(tmp_path: Path) -> None:
    network, sha256 = make_network("efficientnet_lite0", LABELS)
    graph = features_graph(tmp_path, network.features, "efficientnet_lite0", sha256)
    images = _pixels(3, 224)
    with torch.no_grad():
        expected = network.features(images).numpy()
    answered = open_session(graph, REFERENCE, threads=1).run(images.numpy())["features"]
    assert answered.shape == (3, 1280)
    np.testing.assert_allclose(answered, expected, atol=2e-4)


def test_the_features_graph_is_written_once_and_leaves_nothing_else(tmp_path: Path) -> None:
    network, sha256 = make_network("efficientnet_lite0", LABELS)
    first = features_graph(tmp_path, network.features, "efficientnet_lite0", sha256)
    made_at = first.stat().st_mtime_ns
    again = features_graph(tmp_path, network.features, "efficientnet_lite0", sha256)
    assert again == first
    assert again.stat().st_mtime_ns == made_at
    assert list(tmp_path.iterdir()) == [first]
