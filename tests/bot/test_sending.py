"""What becomes of a reply whose call failed."""

from __future__ import annotations

import pytest

from doggo.bot.client import CallError, Trouble
from doggo.bot.sending import Fate, decide, pause_s_after


def fate(trouble: Trouble, words: str = "", method: str = "sendMessage", **given: int) -> Fate:
    error = CallError(trouble, words, retry_after_s=given.get("retry_after_s", 0))
    return decide(error, method=method, is_group=False, attempts=0).fate


@pytest.mark.parametrize(
    ("trouble", "words", "method", "expected"),
    [
        (Trouble.AWAY, "", "sendMessage", Fate.LATER),
        (Trouble.FLOOD, "", "sendMessage", Fate.LATER),
        (Trouble.TOKEN, "", "sendMessage", Fate.LATER),
        (Trouble.BLOCKED, "Forbidden: bot was blocked by the user", "sendMessage", Fate.DROP_CHAT),
        (Trouble.MOVED, "", "sendMessage", Fate.MOVE),
        (Trouble.REFUSED, "Bad Request: chat not found", "sendMessage", Fate.DROP_CHAT),
        (Trouble.REFUSED, "Bad Request: message is not modified: x", "editMessageText", Fate.SENT),
        (Trouble.REFUSED, "Bad Request: message to edit not found", "editMessageText", Fate.SENT),
        (Trouble.REFUSED, "Bad Request: query is too old", "answerCallbackQuery", Fate.SENT),
        (Trouble.REFUSED, "Bad Request: anything", "answerInlineQuery", Fate.SENT),
        (Trouble.REFUSED, "Bad Request: can't parse entities", "sendMessage", Fate.GIVE_UP),
    ],
)
def test_every_failure_has_a_fate(
    trouble: Trouble, words: str, method: str, expected: Fate
) -> None:
    assert fate(trouble, words, method) is expected


def test_telegrams_pause_is_kept_and_a_group_stops_nobody_else() -> None:
    flood = CallError(Trouble.FLOOD, "", retry_after_s=17)
    alone = decide(flood, method="sendMessage", is_group=True, attempts=9)
    everybody = decide(flood, method="sendMessage", is_group=False, attempts=9)
    assert (alone.pause_s, alone.everything) == (17, False)
    assert (everybody.pause_s, everybody.everything) == (17, True)


def test_pauses_grow_and_end_at_a_minute() -> None:
    pauses_s = [pause_s_after(n) for n in range(30)]
    assert 0.8 <= pauses_s[0] <= 1.2
    assert 6.4 <= pauses_s[3] <= 9.6
    assert all(48 <= pause_s <= 72 for pause_s in pauses_s[6:])


def test_no_error_carries_an_address() -> None:
    error = CallError(Trouble.AWAY, "ConnectTimeout")
    assert "://" not in str(error)
