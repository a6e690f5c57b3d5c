"""The short names of networks and the photos that they need, known before torch is loaded.

What each of them is stands in `backbones.py`.
"""

from __future__ import annotations

LITES = tuple(f"efficientnet_lite{number}" for number in range(3))
SHORT_NAMES = {
    "resnet": "resnet18.tv_in1k",
    "vgg": "vgg16.tv_in1k",
    "efficientnet": "efficientnet_b0.ra_in1k",
}
"""What 2023's doggo called its networks, and whose ImageNet weights it began with."""

RESIZE_PX = {
    **dict(zip(LITES, (256, 272, 292), strict=True)),
    **dict.fromkeys(SHORT_NAMES, 256),
}
"""Short side of a photo before the centre crop, as the network's weights were made with."""

KNOWN = (*LITES, *SHORT_NAMES)


def resize_px(name: str) -> int:
    """Return the short side that a network needs of photos, at its own input size.

    Loads torch and timm (seconds) if the name is none of the short ones.

    Raises:
        UsageError: see `backbones.backbone`.
    """
    if name in RESIZE_PX:
        return RESIZE_PX[name]
    from doggo.nets.backbones import backbone

    return backbone(name).resize_px


def check_model(name: str) -> None:
    """Check that there is a network of this name, before hours are spent on its photos.

    Loads torch and timm (seconds) if the name is none of the short ones: timm must say.

    Raises:
        UsageError: see `backbones.backbone`.
    """
    if name not in KNOWN:
        from doggo.nets.backbones import backbone

        backbone(name)
