"""Which photos a run trains and validates on.

Pure: rows in, rows out. Sides of the split are those of the manifest and never change here.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from doggo.core.errors import InputError
from doggo.core.records import ManifestRow, Split

_OR_MORE = ", or preprocess again with a larger `--max-data` if you gave one"


def sample(
    rows: Sequence[ManifestRow], *, n_labels: int | None, n_samples: int | None, seed: int
) -> tuple[ManifestRow, ...]:
    """Return the train and validation rows of random breeds, in the order given.

    Args:
        n_labels: breeds at most; None: all.
        n_samples: photos a breed at most, sides in the breed's own proportion but one of each
            at least; None: all.
    """
    usable = [row for row in rows if row.split in (Split.TRAIN, Split.VALIDATION)]
    choose = random.Random(seed)
    breeds = sorted({row.breed for row in usable})
    if n_labels is not None:
        breeds = sorted(choose.sample(breeds, min(n_labels, len(breeds))))
    by_side: dict[tuple[str, Split], list[ManifestRow]] = defaultdict(list)
    for row in usable:
        by_side[row.breed, row.split].append(row)
    chosen: set[str] = set()
    for breed in breeds:
        train, validation = by_side[breed, Split.TRAIN], by_side[breed, Split.VALIDATION]
        n_validation = len(validation)
        n_train = len(train)
        if n_samples is not None and n_train + n_validation > n_samples:
            share = n_validation / (n_train + n_validation)
            wanted = min(round(n_samples * share), n_samples - 1)
            n_validation = min(n_validation, max(1, wanted))
            n_train = min(n_train, max(1, n_samples - n_validation))
        chosen.update(row.photo_id for row in choose.sample(train, n_train))
        chosen.update(row.photo_id for row in choose.sample(validation, n_validation))
    return tuple(row for row in usable if row.photo_id in chosen)


def check_trainable(rows: Sequence[ManifestRow]) -> tuple[str, ...]:
    """Return the breeds, sorted: the label order.

    Raises:
        InputError: these photos cannot make a model; one line says why and what to add.
    """
    breeds = tuple(sorted({row.breed for row in rows}))
    if not breeds:
        raise InputError("the dataset is empty: run `doggo intake` on a folder of photos first")
    if len(breeds) == 1:
        raise InputError(
            f"all photos show one breed ({breeds[0]}): a model needs two breeds to tell apart, "
            f"add photos of another{_OR_MORE}"
        )
    trained = Counter(row.breed for row in rows if row.split == Split.TRAIN)
    without = [breed for breed in breeds if not trained[breed]]
    if without:
        raise InputError(
            f"{len(without)} of {len(breeds)} breeds have no photo to train on ({_few(without)}): "
            f"add photos of them{_OR_MORE}"
        )
    validated = {row.breed for row in rows if row.split == Split.VALIDATION}
    if len(validated) < 2:
        raise InputError(
            f"the validation photos show {len(validated)} of {len(breeds)} breeds, and no model "
            "can be chosen with fewer than two: add photos, about four a breed are enough"
            f"{_OR_MORE}"
        )
    return breeds


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
