"""Which photos a run uses."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.train.datasets import manifest, row

from doggo.core.errors import InputError
from doggo.core.records import Split
from doggo.train.sample import check_trainable, sample

BREEDS = tuple("abcdefgh")


def test_all_of_train_and_validation_by_default_and_never_test() -> None:
    rows = manifest(BREEDS, train=6, validation=3, test=4).rows
    chosen = sample(rows, n_labels=None, n_samples=None, seed=1)
    assert chosen == tuple(r for r in rows if r.split != Split.TEST)


def test_the_seed_chooses_breeds_and_photos() -> None:
    rows = manifest(BREEDS, train=20, validation=8).rows
    first = sample(rows, n_labels=3, n_samples=10, seed=1)
    assert first == sample(rows, n_labels=3, n_samples=10, seed=1)
    others = [sample(rows, n_labels=3, n_samples=10, seed=s) for s in range(2, 6)]
    assert any(other != first for other in others)


@given(
    train=st.integers(1, 30), validation=st.integers(0, 30), n_labels=st.integers(2, 10),
    n_samples=st.integers(1, 40), seed=st.integers(0, 9),
)  # fmt: skip
def test_no_more_than_asked_for_and_no_side_is_emptied(
    train: int, validation: int, n_labels: int, n_samples: int, seed: int
) -> None:
    rows = manifest(BREEDS, train=train, validation=validation).rows
    chosen = sample(rows, n_labels=n_labels, n_samples=n_samples, seed=seed)
    sides = Counter((r.breed, r.split) for r in chosen)
    breeds = {r.breed for r in chosen}
    assert len(breeds) == min(n_labels, len(BREEDS))
    for breed in breeds:
        of_train, of_validation = sides[breed, Split.TRAIN], sides[breed, Split.VALIDATION]
        assert of_train >= 1
        assert of_validation >= min(1, validation)
        assert of_train + of_validation <= max(n_samples, 1 + min(1, validation))
        if train + validation <= n_samples:
            assert of_train + of_validation == train + validation


def test_a_good_dataset_gives_its_breeds_in_order() -> None:
    assert check_trainable(manifest("cab", train=2, validation=1).rows) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "the dataset is empty"),
        (manifest("a", train=3, validation=1).rows, "one breed"),
        (manifest("ab", train=3, validation=0).rows, "validation photos show 0 of 2"),
        (
            (*manifest("ab", train=3, validation=0).rows, row("a", 9, Split.VALIDATION)),
            "validation photos show 1 of 2",
        ),
        (
            (*manifest("ab", train=3, validation=1).rows, row("c", 9, Split.VALIDATION)),
            r"1 of 3 breeds have no photo to train on \(c\)",
        ),
    ],
)
def test_photos_that_cannot_make_a_model_give_one_line(rows: tuple[object, ...], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        check_trainable(rows)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "larger `--max-data`" in str(caught.value) or not rows
