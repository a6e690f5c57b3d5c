"""What is left of people once they are answered: the bytes of every file, and every log line."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.botting import SECRET, WEBHOOK, Botting, Served, answers, bot_settings, stored
from tests.simulating import TOKEN, Simulating, wait_for
from tests.tiny_bundle import make_bundle, picture

from doggo import wiring
from doggo.storage import replies, updates
from doggo.storage.engine import replies_table
from doggo.storage.journal import Journal
from doggo.storage.updates import State, UpdateRow
from doggo.telegram_sim.faults import Fault, Trouble

ADA, BO, CY, STRANGER = 7_310_245_118, 7_310_245_229, 7_310_245_337, 7_310_245_443
GROUP = -1_009_876_543_219
WORDS = (
    "Zebulonia", "Xanthippus", "Quetzalbert",  # first names
    "Familienname77", "nickname_of_ada",  # what raw updates bring along
    "Gassigruppe-Nordwest",  # title
    "kapitales-bildwort", "halbseidener-text", "suchwort-querbeet", "zuchtwort-unbekannt",
    "giftiges-wort",
)  # fmt: skip


class Log:
    """All that is logged, at DEBUG, in a file; without the simulator's own server."""

    def __init__(self, path: Path, sim: Simulating) -> None:
        self.path, self._root = path, logging.getLogger()
        self._handler, self._level = logging.FileHandler(path), self._root.level
        self._handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self._handler.addFilter(lambda record: record.thread != sim._thread.ident)

    def __enter__(self) -> Log:
        self._root.addHandler(self._handler)
        self._root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        self._root.setLevel(self._level)
        self._root.removeHandler(self._handler)
        self._handler.close()


class World:
    """The bot, its home, and everything that must not be found there."""

    def __init__(self, sim: Simulating, home: Path, journal: Journal) -> None:
        self.sim, self.home, self.journal = sim, home, journal
        self.database = home / "bot.db"

    def says(self, user: int, text: str, chat: int | None = None) -> None:
        self.sim.telegram.people.send_text(chat or user, user, text)

    def taps(self, user: int, verb: str) -> None:
        """Press the latest button of this kind."""
        wait_for(lambda: self._button(user, verb))
        message_id, data = self._button(user, verb)[-1]
        self.sim.telegram.people.tap(user, user, message_id, data)

    def _button(self, chat: int, verb: str) -> list[tuple[int, str]]:
        return [
            (message["message_id"], button["callback_data"])
            for message in answers(self.sim, chat)
            for row in message.get("reply_markup", {}).get("inline_keyboard", [])
            for button in row
            if button.get("callback_data", "").startswith(f"1:{verb}")
        ]

    def waiting(self) -> int:
        """Return how many updates and replies are under way."""
        left = self.journal.submit(
            lambda c: c.execute(select(func.count()).select_from(replies_table)).scalar_one()
        ).result(10)
        rows = stored(self.database)
        return int(left) + sum(row.state in (State.WAITING, State.ANSWERED) for row in rows)

    def settle(self) -> None:
        wait_for(lambda: not len(self.sim.telegram.backlog) and not self.waiting(), within_s=40)

    def sweep(self, at: float) -> None:
        """What the bot does every ten seconds, as if it were `at`."""
        self.journal.submit(lambda c: replies.forget_old(c, at)).result(10)
        self.journal.submit(lambda c: updates.forget_old(c, at)).result(10)
        self.journal.rewrite().result(10)

    def needles(self) -> dict[str, bytes]:
        """Return what to look for, by a name for the message of a failure."""
        found = {word: word.encode() for word in (*WORDS, TOKEN, TOKEN.partition(":")[2])}
        for number in (ADA, BO, CY, STRANGER, GROUP):
            found[f"{number} in digits"] = str(number).encode()
            found[f"{number} in SQLite's bytes"] = number.to_bytes(6, "big", signed=True)
        for file_id in self.sim.telegram.state.files:
            found[file_id] = file_id.encode()
        return found

    def found_in_files(self) -> set[str]:
        files = {path: path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        assert {"bot.db", "bot.db-wal"} <= {path.name for path in files}
        return {
            name
            for name, needle in self.needles().items()
            for data in files.values()
            if needle in data
        }

    def found_in(self, text: bytes) -> set[str]:
        return {name for name, needle in self.needles().items() if needle in text}

    def bytes_of_files(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.home.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture
def sim() -> Iterator[Simulating]:
    with Simulating(retry_factor=0.02) as running:
        people = running.telegram.people
        for user, name in ((ADA, "Zebulonia"), (BO, "Xanthippus"), (CY, "Quetzalbert")):
            people.add_user(name, "en", user)
        running.telegram.state.users[ADA]["username"] = "nickname_of_ada"
        running.telegram.state.users[ADA]["last_name"] = "Familienname77"
        people.add_group("Gassigruppe-Nordwest", [ADA, BO], GROUP)
        yield running


@pytest.fixture(params=["polling", "webhook"])
def world(
    request: pytest.FixtureRequest, sim: Simulating, bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:  # fmt: skip
    monkeypatch.setattr("doggo.bot.worker.pause_s_after", lambda _: 0.05)
    home = tmp_path / "home"
    with ExitStack() as stack:
        if request.param == "polling":
            polling = stack.enter_context(Botting(sim, home, bundle))
            yield World(sim, home, polling.journal)
            return
        served = Served(sim, home, bundle)
        stack.enter_context(served.serving)
        wait_for(served.is_ready)
        url = f"{served.serving.url}{WEBHOOK}"
        sim.call("setWebhook", url=url, secret_token=SECRET).raise_for_status()
        yield World(sim, home, served.journal)


@pytest.fixture
def log(sim: Simulating, tmp_path: Path) -> Iterator[Log]:
    with Log(tmp_path / "everything.log", sim) as running:
        yield running


def talk(world: World) -> None:
    """A conversation with all that people bring along."""
    people = world.sim.telegram.people
    world.says(ADA, "/start")
    people.send_photo(ADA, ADA, picture((20, 230, 20)), caption="kapitales-bildwort")
    world.taps(ADA, "consent:yes")
    world.taps(ADA, "right")
    world.says(ADA, "halbseidener-text")
    world.says(ADA, "/breed zuchtwort-unbekannt")
    world.sim.telegram.inline.ask(ADA, ADA, "suchwort-querbeet")
    people.send_album(ADA, ADA, [picture((20, 20, 230)), picture((230, 20, 20))])
    people.send_file(ADA, ADA, b"no picture", name="kapitales-bildwort.jpg")
    people.send_photo(
        GROUP, BO, picture((20, 230, 20)), caption="@doggo_rehearsal_bot kapitales-bildwort"
    )
    world.says(BO, "halbseidener-text among people", GROUP)


def fail(world: World) -> None:
    """What goes wrong: a blocked bot, refused sends, an update that nobody can read."""
    faults, backlog = world.sim.telegram.faults, world.sim.telegram.backlog
    faults.add(Fault(trouble=Trouble.FORBIDDEN, method="sendMessage", chat_id=BO))
    world.says(BO, "/start halbseidener-text")
    faults.add(Fault(trouble=Trouble.SERVER_ERROR, method="sendMessage", chat_id=CY))
    faults.add(Fault(trouble=Trouble.TOO_MANY, method="sendMessage", chat_id=CY))
    faults.add(Fault(trouble=Trouble.TRUNCATED, method="download"))
    world.sim.telegram.people.send_photo(CY, CY, picture((20, 230, 20)))
    backlog.add_raw(stranger_says("/breed zuchtwort-unbekannt", 900_000_001), chat_id=STRANGER)
    poison = UpdateRow(
        update_id=900_000_002,
        kind="photo",
        chat_id=ADA,
        payload={"kind": "of a later version", "chat_id": ADA, "text": "giftiges-wort"},
        received_at=time.time(),
    )
    world.journal.submit(lambda c: updates.store(c, [poison])).result(10)


def stranger_says(text: str, update_id: int) -> bytes:
    """An update of somebody whom the simulator does not know: each answer is refused."""
    who = {"id": STRANGER, "first_name": "Zebulonia", "username": "nickname_of_ada"}
    message = {
        "message_id": 5,
        "date": 1_700_000_000,
        "chat": {**who, "type": "private"},
        "from": who,
        "text": text,
        "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
    }
    return json.dumps({"update_id": update_id, "message": message}).encode()


def test_nothing_of_people_is_left(
    world: World, log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    slow = Fault(trouble=Trouble.SLOW, method="sendMessage", chat_id=ADA, seconds=0.7)
    world.sim.telegram.faults.add(slow)
    world.says(ADA, "/start")
    wait_for(lambda: any(row.chat_id == ADA for row in stored(world.database)))
    assert f"{ADA} in SQLite's bytes" in world.found_in_files(), "the search finds nothing at all"
    talk(world)
    fail(world)
    world.settle()
    rows = {row.update_id: row for row in stored(world.database)}
    assert len(rows) > 12
    assert {row.state for row in rows.values()} == {State.DONE, State.PARKED}
    parked = [row for row in rows.values() if row.state == State.PARKED]
    assert [(row.update_id, row.chat_id, row.payload) for row in parked] == [
        (900_000_002, None, None)
    ]

    world.sweep(time.time())
    assert world.found_in_files() == set()
    assert {row.update_id for row in stored(world.database)} == set(rows), "numbers stay"

    out, err = capfd.readouterr()
    logged = log.path.read_bytes()
    assert b"worker.parked" in logged
    assert b"sender.refused" in logged
    assert world.found_in(logged + out.encode() + err.encode()) == set()


@pytest.mark.parametrize("world", ["polling"], indirect=True)
def test_after_forget_nothing_stands_under_the_persons_name(world: World) -> None:
    person = wiring.pseudonyms(bot_settings(world.home, world.sim.url)).of(ADA).encode()
    world.says(ADA, "/start")
    for colour in ((20, 230, 20), (20, 20, 230)):
        world.sim.telegram.people.send_photo(ADA, ADA, picture(colour))
    world.taps(ADA, "consent:yes")
    world.taps(ADA, "right")
    world.settle()
    world.sweep(time.time())
    assert person in world.bytes_of_files(), "the search finds nothing at all"
    world.says(ADA, "/forget")
    world.taps(ADA, "forget:yes")
    world.settle()
    world.sweep(time.time())
    assert person not in world.bytes_of_files()
