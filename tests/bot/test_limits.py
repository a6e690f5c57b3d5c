"""No window, wherever it begins, holds more than the limit; and little less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.bot.limits import Limit, Limits, Pace


def times(limit: Limit, gaps_s: list[float]) -> list[float]:
    """When messages go that want to go after these pauses."""
    pace, now, gone = Pace(limit), 0.0, []
    for gap_s in gaps_s:
        now = max(now + gap_s, pace.free_at())
        pace.take(now)
        gone.append(now)
    return gone


@given(
    gaps_s=st.lists(st.floats(0, 70), min_size=1, max_size=120),
    limit=st.sampled_from([Limits().overall, Limits().private, Limits().group]),
)
def test_no_window_holds_more(gaps_s: list[float], limit: Limit) -> None:
    gone = times(limit, gaps_s)
    for start in gone:
        inside = [one for one in gone if start <= one < start + limit.window_s - 1e-6]
        assert len(inside) <= limit.most


@pytest.mark.parametrize("limit", [Limits().overall, Limits().private])
def test_steady_flow_comes_close_to_the_limit(limit: Limit) -> None:
    gone = times(limit, [0.0] * 600)
    per_window = (len(gone) - 1) / (gone[-1] - gone[0]) * limit.window_s
    assert limit.most - limit.burst <= per_window <= limit.most


def test_a_chat_that_was_quiet_may_burst() -> None:
    gone = times(Limits().private, [0.0, 0.0, 0.0, 0.0])
    assert gone[2] == 0.0 < gone[3]
