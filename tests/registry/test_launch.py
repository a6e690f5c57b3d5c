"""A server is launched for the model that production is, or the reader learns what to do."""

from __future__ import annotations

import pytest

from doggo.core.errors import InputError
from doggo.registry.card import VersionRow
from doggo.registry.launch import check_launch


def registry(*names: str, production: int | None) -> list[VersionRow]:
    return [
        VersionRow(version=version, name=name, in_production=version == production)
        for version, name in enumerate(names, start=1)
    ]


def test_the_model_in_production_is_launched() -> None:
    launch = check_launch("resnet18", registry("vgg16", "resnet18", production=2))
    assert (launch.version, launch.name, launch.newer) == (2, "resnet18", None)


def test_a_family_may_be_named_as_the_first_doggo_did() -> None:
    versions = registry("efficientnet_lite0", "vgg16", production=1)
    assert check_launch("efficientnet", versions).name == "efficientnet_lite0"


def test_a_newer_version_that_is_not_in_production_is_told() -> None:
    launch = check_launch("vgg16", registry("vgg16", "vgg16", "resnet18", production=1))
    assert (launch.version, launch.newer) == (1, 2)
    assert "doggo models promote 2" in launch.to_text()


def test_another_model_in_production_is_left_there() -> None:
    versions = registry("vgg16", "resnet18", "resnet18", production=1)
    with pytest.raises(InputError, match=r"vgg16 version 1 is in production.*promote 3`"):
        check_launch("resnet18", versions)


def test_nothing_in_production_is_told() -> None:
    with pytest.raises(InputError, match=r"^nothing is in production.*promote 1`"):
        check_launch("vgg16", registry("vgg16", production=None))


@pytest.mark.parametrize(("names", "there"), [((), "there is none yet"), (("vgg16",), "vgg16")])
def test_an_unknown_model_is_told_with_those_there_are(names: tuple[str, ...], there: str) -> None:
    with pytest.raises(InputError, match=rf"no model 'resnet'.*{there}.*doggo train"):
        check_launch("resnet", registry(*names, production=None))


def test_a_version_that_cannot_be_read_is_no_model() -> None:
    broken = VersionRow(version=2, in_production=False, problem="altered")
    assert check_launch("vgg16", [*registry("vgg16", production=1), broken]).newer is None
