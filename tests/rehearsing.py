"""What people ask in a rehearsal and what they get, as *keys*: `red`, or the word of a command.

The simulated Telegram runs as a process of its own. The model names the strongest colour of a
photo, so that a swapped answer shows.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx
from tests.tiny_bundle import picture

TOKEN = "424242:of-the-tests"  # noqa: S105 - opens nothing but the simulator
PATIENCE_S = 60.0
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
NAMED = {"red": "Affenpinscher", "green": "Beagle", "blue": "Pug"}
CONSENT = "consent"
"""Key of the question that follows a person's first answered photo."""

_SHOWN = {name: key for key, name in NAMED.items()}
_BREED = re.compile("|".join(NAMED.values()))
_WORD = re.compile(r"\bw\d+\b")


def wait_for(true: Callable[[], object], within_s: float = PATIENCE_S, what: str = "it") -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.02)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message that Telegram took from the bot.

    Attributes:
        row: the same for two sends of one reply, and for nothing else.
        at: Unix seconds.
    """

    chat: int
    key: str
    row: str
    at: float
    text: str


class Rehearsal:
    """The simulated Telegram as a process, while the `with` block lasts."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "doggo.telegram_sim", "--port", "0", "--token", TOKEN,
             "--retry-factor", "0.1", *options],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the simulator did not start"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=PATIENCE_S)
        self._uploads: dict[str, str] = {}
        self._calls: list[dict[str, Any]] = []

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self.freeze(False)
        self._process.terminate()
        self._process.communicate(timeout=30)

    def freeze(self, still: bool) -> None:
        """Let the whole server stand still: connections are taken, nothing is answered."""
        self._process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    def do(self, actions: Sequence[dict[str, Any]]) -> list[Any]:
        """Carry out what people do, in order."""
        reply = self.client.post("/sim/do", json=list(actions))
        assert reply.status_code == 200, reply.text
        return list(reply.json())

    def fail(self, trouble: str, **given: object) -> None:
        """Let calls go wrong from now on."""
        self.do([{"do": "fail", "trouble": trouble, **given}])

    def heal(self) -> None:
        self.do([{"do": "heal"}])

    def users(self, count: int) -> list[int]:
        """Add people; returns their chats."""
        return [one["id"] for one in self.do([{"do": "user"} for _ in range(count)])]

    def photo(self, colour: str) -> str:
        """Return the upload of a photo of one colour."""
        if colour not in self._uploads:
            data = picture(COLOURS[colour], (400, 300))
            self._uploads[colour] = self.client.post("/sim/uploads", content=data).json()["upload"]
        return self._uploads[colour]

    def says(self, chat: int, key: str) -> dict[str, Any]:
        """Return the action of a person whose answer has this key."""
        if "+" in key:
            uploads = [self.photo(one) for one in key.split("+")]
            return {"do": "album", "chat": chat, "user": chat, "uploads": uploads}
        if key in COLOURS:
            return {"do": "photo", "chat": chat, "user": chat, "upload": self.photo(key)}
        return {"do": "text", "chat": chat, "user": chat, "text": f"/breed {key}"}

    def read(self, what: str) -> Any:
        return self.client.get(f"/sim/{what}").json()

    def calls(self, method: str = "") -> list[dict[str, Any]]:
        """Return the calls of the bot so far."""
        self._calls += self.read(f"calls?since={len(self._calls)}")
        return [one for one in self._calls if method in ("", one["method"])]

    def sent(self) -> list[Sent]:
        """Return the messages that were taken from the bot, in order."""
        return [_sent(one) for one in self.calls("sendMessage") if _was_taken(one)]

    def pending(self) -> int:
        return int(self.read("counts")["pending"])


def _is_photo(key: str) -> bool:
    return key.partition("+")[0] in COLOURS


def _was_taken(call: dict[str, Any]) -> bool:
    # Status 0 is a call that was carried out, its answer lost on the way; a hang does nothing.
    return call["status"] == 200 or (call["status"] == 0 and not call["description"])


def _sent(call: dict[str, Any]) -> Sent:
    arguments = call["arguments"]
    text, buttons = str(arguments["text"]), str(arguments.get("reply_markup", ""))
    return Sent(
        chat=int(call["chat_id"]), key=_key(text), row=text + buttons, at=call["at"], text=text
    )


def _key(text: str) -> str:
    if "May I keep the photos" in text:
        return CONSENT
    if found := _WORD.search(text):
        return found.group()
    named = _BREED.findall(text)
    if text.count(".</b>") > 1:  # an album: its photos are numbered
        return "+".join(_SHOWN[one] for one in named)
    return _SHOWN[named[0]] if named else text


@dataclass
class Asked:
    """What people asked, by chat and in order, to compare with what they got."""

    rehearsal: Rehearsal
    keys: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def count(self) -> int:
        return sum(map(len, self.keys.values()))

    def send(self, said: Iterable[tuple[int, str]]) -> None:
        """Let people say things, at once. What one says must differ, or order proves nothing."""
        actions = []
        for chat, key in said:
            self.keys[chat].append(key)
            actions.append(self.rehearsal.says(chat, key))
        self.rehearsal.do(actions)

    def missing(self) -> list[tuple[int, str]]:
        """Return what has no answer yet."""
        wanted = Counter((chat, key) for chat, keys in self.keys.items() for key in keys)
        wanted.update((chat, CONSENT) for chat in self._photographers())
        got = Counter((one.chat, one.key) for one in self.rehearsal.sent())
        return list((wanted - got).elements())

    def wait(self, within_s: float = PATIENCE_S) -> None:
        """Wait until everything is answered and nothing is on its way any more."""
        deadline = time.monotonic() + within_s
        while missing := self.missing():
            assert time.monotonic() < deadline, f"{len(missing)} without answer: {missing[:9]}"
            time.sleep(0.1)

    def check(self) -> list[Sent]:
        """Check that each was answered with its own answer, in order; returns repeated sends."""
        sent = self.rehearsal.sent()
        first: dict[int, list[str]] = defaultdict(list)
        again = []
        for one in sent:
            if one.key in first[one.chat]:
                again.append(one)
            else:
                first[one.chat].append(one.key)
        for chat, keys in self.keys.items():
            answered = [key for key in first[chat] if key != CONSENT]
            assert answered == keys, f"chat {chat}: asked {keys}, answered {answered}"
        assert not self.anew()
        asked_for_consent = {chat for chat, keys in first.items() if CONSENT in keys}
        assert asked_for_consent == self._photographers()
        return again

    def anew(self) -> list[tuple[int, str]]:
        """Return what was answered twice, not only sent twice: the replies differ."""
        rows: dict[tuple[int, str], set[str]] = defaultdict(set)
        for one in self.rehearsal.sent():
            rows[one.chat, one.key].add(one.row)
        return [place for place, found in rows.items() if len(found) > 1]

    def _photographers(self) -> set[int]:
        return {chat for chat, keys in self.keys.items() if any(map(_is_photo, keys))}


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Sends that came twice, by the life of the bot in which they were sent first.

    Attributes:
        total: in all.
        most_a_life: by one kill.
        most_a_chat: by one kill, to one chat.
    """

    total: int
    most_a_life: int
    most_a_chat: int


def repeats(sent: Sequence[Sent], killed_at: Sequence[float]) -> Repeats:
    """Blame each repeated send on the kill after which it had to be repeated.

    Args:
        killed_at: Unix seconds, rising.
    """
    last: dict[tuple[int, str], float] = {}
    blamed: list[tuple[int, int]] = []
    for one in sent:
        before = last.get((one.chat, one.row))
        if before is not None:
            blamed.append((sum(at < before for at in killed_at), one.chat))
        last[one.chat, one.row] = one.at
    lives = Counter(life for life, _ in blamed)
    return Repeats(
        total=len(blamed),
        most_a_life=max(lives.values(), default=0),
        most_a_chat=max(Counter(blamed).values(), default=0),
    )
