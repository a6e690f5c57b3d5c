"""A rehearsal of the bot with real processes: the simulated Telegram, bots, and a wire to cut.

The model names the strongest colour of a photo, so that a swapped answer shows. What people send
is remembered as *keys*, and what the bot sends is read back as the same keys: `red`, or the word
that a command was about.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from tests.tiny_bundle import make_bundle, picture

from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore

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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def bundles(home: Path) -> BundleStore:
    """Return the bundles of a home."""
    return BundleStore(Bucket(home / "buckets" / "bundles"))


def add_bundle(home: Path, *, turn: int = 0, promote: bool = True) -> int:
    """Add a colour network, as a new version; `turn` makes it answer otherwise."""
    store = bundles(home)
    folder = home / "made" / os.urandom(4).hex()
    folder.parent.mkdir(parents=True, exist_ok=True)
    version = store.add(make_bundle(folder, turn=turn), {})
    if promote:
        store.move(version, why="test", actor="test")
    return version


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


class BotProcess:
    """`doggo ...` in a process of its own.

    Attributes:
        started_at: of `time.monotonic`.
    """

    def __init__(self, home: Path, telegram_url: str, *words: str, **env: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._log = (home / f"log-{os.urandom(4).hex()}.txt").open("w+")
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "doggo", *words],
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "DOGGO_HOME": str(home),
                "DOGGO_TELEGRAM_URL": telegram_url,
                "TELE_API_KEY": TOKEN,
                **env,
            },
            cwd=home,  # away from a developer's .env
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> BotProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(self.said()[-5000:])
        self.kill()
        self._log.close()

    def said(self) -> str:
        """Return all that it wrote, stderr as well."""
        return Path(self._log.name).read_text()

    def ready(self) -> BotProcess:
        """Wait until it answers."""
        wait_for(lambda: "(Ctrl-C stops)" in self.said() or self.code is not None, what="the start")
        assert self.code is None, self.said()
        return self

    def freeze(self, still: bool) -> None:
        """Let the process stand still, or go on."""
        self._process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def wait(self, within_s: float = PATIENCE_S) -> int:
        return self._process.wait(within_s)

    def terminate(self) -> int:
        """Ask it to end; returns its exit code."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """kill -9, if it still lives."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(30)


def serving(home: Path, telegram_url: str, port: int, **env: str) -> BotProcess:
    """Start the server with a webhook on its own port."""
    hook = f"http://127.0.0.1:{port}"
    words = ("serve", "--port", str(port), "--webhook", hook)
    return BotProcess(home, telegram_url, *words, **env)


def polling(home: Path, telegram_url: str, **env: str) -> BotProcess:
    """Start the bot that polls."""
    return BotProcess(home, telegram_url, "bot", "run", **env)


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
        rows: dict[tuple[int, str], set[str]] = defaultdict(set)
        again = []
        for one in sent:
            if one.key in first[one.chat]:
                again.append(one)
            else:
                first[one.chat].append(one.key)
            rows[one.chat, one.key].add(one.row)
        for chat, keys in self.keys.items():
            answered = [key for key in first[chat] if key != CONSENT]
            assert answered == keys, f"chat {chat}: asked {keys}, answered {answered}"
        twice = [place for place, found in rows.items() if len(found) > 1]
        assert not twice, f"answered anew, not only sent again: {twice[:9]}"
        asked_for_consent = {chat for chat, keys in first.items() if CONSENT in keys}
        assert asked_for_consent == self._photographers()
        return again

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


class Wire:
    """A TCP forwarder between bot and simulator that can be cut, and joined again."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.join()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def join(self) -> None:
        """Forward from now on."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections; new ones are refused."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()
