"""A bundle's card tells the terms of its own backbone's weights, or where they stand."""

from __future__ import annotations

import pytest
from timm.models import get_pretrained_cfg

from doggo.nets.licences import weights_licence
from doggo.nets.names import LITES, SHORT_NAMES


@pytest.mark.parametrize("name", LITES)
def test_the_lite_networks_are_under_apache(name: str) -> None:
    assert weights_licence(name) == f"pre-trained weights: {name}, Apache-2.0"


@pytest.mark.parametrize("name", [*SHORT_NAMES, "resnet50.tv_in1k", "resnet50.ra_in1k"])
def test_the_licence_of_a_known_source_is_the_one_that_timm_states(name: str) -> None:
    timm_name = SHORT_NAMES.get(name, name)
    cfg = get_pretrained_cfg(timm_name)
    assert cfg is not None
    told = weights_licence(name)
    assert told.startswith(f"pre-trained weights: {timm_name}, ")
    assert cfg.license in told.lower()


@pytest.mark.parametrize("name", ["vit_base_patch16_224.mae", "resnet50", "colour"])
def test_the_licence_of_any_other_network_is_not_guessed(name: str) -> None:
    told = weights_licence(name)
    assert told == f"pre-trained weights: {name}, see the source: its card at timm"
