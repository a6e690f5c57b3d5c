"""What ImageNet's thousand classes know of dogs.

Owns the mapping from class index to breed key, and which classes are dogs. Knows nothing of
weights or networks. The class names come with timm, in the order of ILSVRC 2012.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from timm.data import ImageNetInfo

CLASSES = 1000
DALMATIAN = 251  # the one dog of ImageNet-1k that the Stanford set leaves out
WILD_DOGS = (273, 274, 275)  # dingo, dhole, African hunting dog: in the Stanford set
DOG_CLASSES = (*range(151, 269), *WILD_DOGS)
"""Indices of the 121 classes whose probabilities add up to the dog mass."""


@cache
def breed_classes() -> MappingProxyType[str, int]:
    """Return the ImageNet class index of each of the 120 Stanford breeds, by breed key.

    A key is the first of the class's names in lower case, with underscores for spaces:
    `german_shepherd`, `black-and-tan_coonhound`.
    """
    info = ImageNetInfo()
    keys = {
        str(info.index_to_description(index)).split(",")[0].strip().lower().replace(" ", "_"): index
        for index in DOG_CLASSES
        if index != DALMATIAN
    }
    assert len(keys) == len(DOG_CLASSES) - 1
    return MappingProxyType(dict(sorted(keys.items())))
