"""What becomes of a reply after a call was tried: a pure decision.

sent      it arrived, or can no longer mean anything
later     try again after a pause; `everything`: until then nothing else is sent either
drop chat the chat does not want us: all that waits for it goes
move      the group has another number now
give up   it will never succeed: a person must look
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import StrEnum

from doggo.bot.client import CallError, Trouble
from doggo.core.chat import Method

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
REVOKED_PAUSE_S = 60.0
STUMBLES = 4

# A message that was deleted or already says so: what was asked for is not there to be done.
_POINTLESS = (
    "message is not modified",
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "query is too old",
    "query_id_invalid",
)


class Fate(StrEnum):
    """What to do with a reply."""

    SENT = "sent"
    LATER = "later"
    DROP_CHAT = "drop_chat"
    MOVE = "move"
    GIVE_UP = "give_up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The fate of a reply.

    Attributes:
        pause_s: before it is tried again (LATER).
        everything: nothing else is sent meanwhile either.
        new_chat_id: where the group went (MOVE).
        why: one line for a person (GIVE_UP).
    """

    fate: Fate
    pause_s: float = 0.0
    everything: bool = False
    new_chat_id: int = 0
    why: str = ""


def decide(error: CallError, *, method: str, is_group: bool, attempts: int) -> Decision:
    """Return what becomes of a reply whose call failed.

    Args:
        attempts: how often it failed before.
    """
    if error.trouble is Trouble.REFUSED:
        return _refused(error, method)
    pause_s = {
        # A group has its own limit; what a private chat exceeds is everybody's.
        Trouble.FLOOD: max(error.retry_after_s, 1.0),
        Trouble.TOKEN: REVOKED_PAUSE_S,
        Trouble.CONFLICT: REVOKED_PAUSE_S,
        Trouble.AWAY: pause_s_after(attempts),
    }
    if error.trouble in pause_s:
        alone = error.trouble is Trouble.AWAY or (error.trouble is Trouble.FLOOD and is_group)
        return Decision(fate=Fate.LATER, pause_s=pause_s[error.trouble], everything=not alone)
    if error.trouble is Trouble.MOVED:
        return Decision(fate=Fate.MOVE, new_chat_id=error.new_chat_id)
    return Decision(fate=Fate.DROP_CHAT)


def _refused(error: CallError, method: str) -> Decision:
    words = error.words.lower()
    passing = method in (Method.ANSWER_TAP, Method.ANSWER_SEARCH)
    if passing or any(known in words for known in _POINTLESS):
        return Decision(fate=Fate.SENT)
    if "chat not found" in words:
        return Decision(fate=Fate.DROP_CHAT)
    # What Telegram quotes may be somebody's words.
    why = re.sub(r'"[^"]*"?', '"..."', error.words)
    return Decision(fate=Fate.GIVE_UP, why=f"{method}: {why}"[:200])


def stumbled(attempts: int, error: str) -> Decision:
    """Return what becomes of a reply over which our own code failed, not Telegram.

    Args:
        attempts: how often it failed before.
        error: its kind.
    """
    if attempts + 1 >= STUMBLES:
        return Decision(fate=Fate.GIVE_UP, why=error)
    return Decision(fate=Fate.LATER, pause_s=pause_s_after(attempts))


def pause_s_after(attempts: int) -> float:
    """Return seconds to wait after so many failures: doubled each time, with some chance in it."""
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(attempts, 10), LONGEST_PAUSE_S)
    return float(pause_s * random.uniform(0.8, 1.2))
