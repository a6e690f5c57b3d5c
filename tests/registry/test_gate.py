"""The gate's rule: absolute checks, the same breeds, and no loss of a point."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.registry.gate import LARGEST_LOSS, Comparison, GateFacts, judge


def hits(right: int, n: int = 400) -> np.ndarray:
    return np.arange(n) < right


def comparison(challenger: np.ndarray, champion: np.ndarray, **changes: object) -> Comparison:
    values: dict[str, object] = {
        "champion": 1,
        "added": (),
        "removed": (),
        "shared": 3,
        "challenger_hits": challenger,
        "champion_hits": champion,
        **changes,
    }
    return Comparison(**values)  # type: ignore[arg-type]


def facts(against: Comparison | None, **changes: object) -> GateFacts:
    values = {"version": 2, "problems": (), "comparison": against, **changes}
    return GateFacts(**values)  # type: ignore[arg-type]


NOTHING = hits(0, 0)


def test_without_a_champion_the_absolute_checks_decide() -> None:
    assert judge(facts(None)).allowed
    refused = judge(facts(None, problems=("model.onnx was altered",)))
    assert not refused.allowed
    assert refused.reasons == ("model.onnx was altered",)


def test_an_equal_model_passes() -> None:
    decision = judge(facts(comparison(hits(300), hits(300))))
    assert decision.allowed
    assert (decision.difference, decision.low, decision.high, decision.photos) == (0, 0, 0, 400)


def test_a_better_model_passes_and_a_worse_one_does_not() -> None:
    assert judge(facts(comparison(hits(320), hits(300)))).allowed
    refused = judge(facts(comparison(hits(300), hits(320))))
    assert not refused.allowed
    assert "top-1 -5.0 points" in refused.reasons[0]


def test_an_unlucky_looking_better_model_needs_more_photos() -> None:
    """Better by a little, with so many changed answers that a loss of a point is possible."""
    rng = np.random.default_rng(0)
    champion = rng.random(100) < 0.5
    challenger = rng.random(100) < 0.52
    decision = judge(facts(comparison(challenger, champion)))
    assert decision.low is not None
    assert decision.allowed is (decision.low >= -LARGEST_LOSS)
    assert not decision.allowed


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_bound_alone_decides_between_models_of_the_same_breeds(
    answers: list[tuple[bool, bool]],
) -> None:
    ours, theirs = (np.array(column) for column in zip(*answers, strict=True))
    decision = judge(facts(comparison(ours, theirs)))
    assert decision.low is not None
    assert decision.allowed is (decision.low >= -LARGEST_LOSS)
    assert bool(decision.reasons) is not decision.allowed


def test_other_breeds_need_to_be_accepted_and_are_listed() -> None:
    other = comparison(hits(300), hits(300), added=("corgi", "pug"), removed=("wolf",))
    refused = judge(facts(other))
    assert not refused.allowed
    assert refused.reasons == (
        "it adds corgi, pug and removes wolf: accept another set of breeds with --accept-labels",
    )
    accepted = judge(facts(other, accept_labels=True))
    assert accepted.allowed
    assert (accepted.added, accepted.removed) == (("corgi", "pug"), ("wolf",))
    assert "it adds corgi, pug and removes wolf, as accepted" in accepted.notes


def test_accepted_breeds_do_not_excuse_a_loss_on_the_others() -> None:
    other = comparison(hits(300), hits(320), added=("corgi",))
    assert not judge(facts(other, accept_labels=True)).allowed


def test_models_without_a_common_breed_are_a_matter_of_accepting_labels() -> None:
    other = comparison(NOTHING, NOTHING, added=("corgi",), removed=("pug",), shared=0)
    assert not judge(facts(other)).allowed
    assert judge(facts(other, accept_labels=True)).allowed


def test_without_photos_of_a_common_breed_nothing_is_proved() -> None:
    refused = judge(facts(comparison(NOTHING, NOTHING)))
    assert not refused.allowed
    assert "doggo preprocess" in refused.reasons[0]


def test_a_champion_that_cannot_be_read_stands_in_the_way_until_forced() -> None:
    broken = comparison(NOTHING, NOTHING, shared=0, problem="model.onnx was altered")
    assert not judge(facts(broken)).allowed
    assert judge(facts(broken, force="the old one is broken")).forced


def test_force_overrules_the_comparison_and_never_the_absolute_checks() -> None:
    worse = comparison(hits(100), hits(300))
    forced = judge(facts(worse, force="a demo"))
    assert (forced.allowed, forced.forced) == (True, True)
    assert forced.reasons
    broken = judge(facts(worse, force="a demo", problems=("smoke test failed",)))
    assert (broken.allowed, broken.forced) == (False, False)


def test_force_that_was_not_needed_is_not_recorded_as_used() -> None:
    assert not judge(facts(comparison(hits(300), hits(300)), force="in case")).forced


@pytest.mark.parametrize("challenger", [hits(300), hits(100)])
def test_a_decision_can_be_read_by_people_and_programs(challenger: np.ndarray) -> None:
    decision = judge(facts(comparison(challenger, hits(300))))
    assert json.loads(json.dumps(decision.to_json()))["allowed"] is decision.allowed
    assert decision.to_text().startswith("version 2 ")
    assert "version 1" in decision.to_text()
