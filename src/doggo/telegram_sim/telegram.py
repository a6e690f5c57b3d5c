"""A whole Telegram with one bot: what tests, benchmarks and the page hold in their hands.

Owns how the parts are put together and how a call is carried out. Knows no HTTP.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from doggo.telegram_sim import methods
from doggo.telegram_sim.arguments import GetUpdates
from doggo.telegram_sim.asking import InlineMode
from doggo.telegram_sim.backlog import Backlog, Pending
from doggo.telegram_sim.bodies import Body
from doggo.telegram_sim.events import Events
from doggo.telegram_sim.faults import Faults
from doggo.telegram_sim.hooks import Hooks
from doggo.telegram_sim.inputs import InputFile, chat_id_of
from doggo.telegram_sim.limits import SendLimits
from doggo.telegram_sim.objects import JsonObject, User
from doggo.telegram_sim.parts import Parts
from doggo.telegram_sim.people import People
from doggo.telegram_sim.polling import Polling
from doggo.telegram_sim.records import Call, Delivery
from doggo.telegram_sim.refusal import ApiError, too_many
from doggo.telegram_sim.state import State

_REMEMBERED = 200_000  # calls and deliveries, the latest


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a call: its status and its body."""

    status: int
    body: bytes
    description: str = ""
    retry_after_s: int | None = None


class Telegram:
    """The simulator; `app.create_app` puts it on HTTP.

    Attributes:
        state: users, chats, messages, files.
        people: what people do.
        inline: what people do in inline mode.
        faults: what goes wrong on purpose.
        limits: on sending; counted even if not enforced.
        backlog: updates that wait.
        hooks: the webhook, if the bot has set one.
        calls: of the bot, the latest 200,000.
        deliveries: of updates, the latest 200,000.
        counts: how often each method was called, and `METHOD STATUS` for each outcome.
    """

    def __init__(
        self,
        token: str,
        bot_username: str = "doggo_rehearsal_bot",
        *,
        clock: Callable[[], float] = time.time,
        retry_factor: float = 1.0,
        enforce_limits: bool = True,
    ) -> None:
        self.token = token
        self.clock = clock
        self.retry_factor = retry_factor
        self.state = State(_bot(token, bot_username), clock)
        self.events = Events()
        self.faults = Faults()
        self.limits = SendLimits(clock, enforced=enforce_limits)
        self.backlog = Backlog(clock, self.faults)
        self.people = People(self.state, self.backlog, self.events)
        self.inline = InlineMode(self.state, self.backlog, self.people)
        self.hooks = Hooks(self.backlog)
        self.calls: deque[Call] = deque(maxlen=_REMEMBERED)
        self.deliveries: deque[Delivery] = deque(maxlen=_REMEMBERED)
        self.counts: Counter[str] = Counter()
        self._polling = Polling(self.backlog, self.hooks)
        self._parts = Parts(
            state=self.state,
            events=self.events,
            backlog=self.backlog,
            hooks=self.hooks,
            clock=clock,
            started_at=clock(),
        )

    async def answer(self, name: str, body: Body) -> Result:
        """Carry a call out and return its answer; a refusal is an answer too."""
        try:
            method = methods.find(name)
            if method is methods.GET_UPDATES:
                return _updates(await self._poll(body))
            return _done(self.carry_out(method.name, body.arguments, body.files))
        except ApiError as error:
            return refused(error)

    def carry_out(
        self, name: str, arguments: JsonObject, files: dict[str, InputFile] | None = None
    ) -> object:
        """Return the result of a method, as JSON.

        Raises:
            ApiError: it is refused.
        """
        method = methods.find(name)
        files = files or {}
        given: dict[str, object] = dict(arguments)
        given.update({key: file for key, file in files.items() if key in _UPLOADS})
        for key in _UPLOADS & given.keys():
            value = given[key]
            if isinstance(value, str) and value.startswith("attach://"):
                given[key] = files.get(value.removeprefix("attach://"), value)
        wanted = methods.parse(method.arguments, given)
        if not method.limited:
            return method.carry_out(self._parts, wanted, files)
        room = self.state.rooms.get(getattr(wanted, "chat_id", None) or 0)
        if room is None:
            return method.carry_out(self._parts, wanted, files)
        chat_id, group = room.face["id"], not room.is_private
        if wait_s := self.limits.wait_s(chat_id, group=group):
            raise too_many(wait_s)
        result = method.carry_out(self._parts, wanted, files)
        self.limits.sent(chat_id, group=group)
        return result

    def chat_of(self, arguments: JsonObject) -> int | None:
        """Return the chat that a call is about, if it is about one."""
        named = chat_id_of(arguments.get("chat_id"))
        if isinstance(named, int):
            return named
        tap = self.state.taps.get(str(arguments.get("callback_query_id")))
        if tap is not None:
            return tap.chat_id
        question = self.state.questions.get(str(arguments.get("inline_query_id")))
        return question.chat_id if question is not None else None

    def close(self) -> None:
        """End what would keep a server from ending: the waiting poll and the pages' streams."""
        self._polling.end()
        self.events.tell("closed")

    def note(self, call: Call) -> None:
        """Remember a call of the bot."""
        self.calls.append(call)
        self.counts[call.method] += 1
        self.counts[f"{call.method} {call.status}"] += 1

    async def _poll(self, body: Body) -> list[Pending]:
        wanted = methods.parse(GetUpdates, body.arguments)
        batch = await self._polling.updates(wanted)
        now = time.monotonic()
        for pending in batch:
            pending.failures += 1
            self.deliveries.append(
                Delivery(
                    update_id=pending.update_id,
                    chat_id=pending.chat_id,
                    attempt=pending.failures,
                    started_at=now,
                    ended_at=now,
                    status=200,
                )
            )
        return batch


_UPLOADS = frozenset({"photo", "certificate"})


def refused(error: ApiError) -> Result:
    """Return the answer to a call that is refused."""
    body = json.dumps(error.json()).encode()
    return Result(error.status, body, error.description, error.retry_after_s)


def _done(result: object) -> Result:
    return Result(200, json.dumps({"ok": True, "result": result}).encode())


def _updates(batch: list[Pending]) -> Result:
    return Result(200, b'{"ok":true,"result":[' + b",".join(one.body for one in batch) + b"]}")


def _bot(token: str, username: str) -> User:
    number = token.partition(":")[0]
    return {
        "id": int(number) if number.isascii() and number.isdigit() else 424_242,
        "is_bot": True,
        "first_name": username.removesuffix("_bot").replace("_", " ").title(),
        "username": username,
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": True,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }
