"""Who gives way when two programs poll for one bot."""

from __future__ import annotations

import pytest

from doggo.bot.polling import CONFLICTS, NEWCOMER_S, Rivals


def gives_way_at(began_at: float, refused_at: list[float]) -> float | None:
    rivals = Rivals(began_at)
    return next((now for now in refused_at if rivals.refused(now)), None)


def test_the_newcomer_gives_way_and_who_was_there_goes_on() -> None:
    # They refuse each other in turn: who polls ends the other's waiting.
    there = [100.0 + 2 * n for n in range(CONFLICTS)]
    newcomer = [at + 1 for at in there]
    assert gives_way_at(100.0 - NEWCOMER_S, there) is None
    assert gives_way_at(100.0, newcomer) == newcomer[-1]


def test_polls_that_succeed_in_between_do_not_hide_a_rival() -> None:
    assert gives_way_at(0.0, [100.0 + 9 * n for n in range(20)]) == 100.0 + 9 * (2 * CONFLICTS - 1)


@pytest.mark.parametrize("pause_s", [31.0, 3600.0])
def test_a_refusal_now_and_then_is_none_to_end_over(pause_s: float) -> None:
    assert gives_way_at(0.0, [1.0 + pause_s * n for n in range(50)]) is None
