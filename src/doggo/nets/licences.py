"""On whose terms a network's ImageNet weights are, known without loading torch.

Owns what docs/licences.md says of the weights that doggo offers by name. For all others it names
the page that has the answer: a licence that is guessed is worse than none.
"""

from __future__ import annotations

from doggo.nets.names import LITES, SHORT_NAMES

_BY_TAG = {
    "tv_in1k": "BSD-3-Clause (torchvision's)",
    "ra_in1k": "Apache-2.0 (timm's)",
}


def weights_licence(backbone: str) -> str:
    """Return one line on the terms of the weights that training began with.

    Args:
        backbone: as a bundle names it: a short name, or one of timm's.
    """
    if backbone in LITES:
        return f"pre-trained weights: {backbone}, Apache-2.0"
    timm_name = SHORT_NAMES.get(backbone, backbone)
    known = _BY_TAG.get(timm_name.partition(".")[2])
    return f"pre-trained weights: {timm_name}, {known or 'see the source: its card at timm'}"
