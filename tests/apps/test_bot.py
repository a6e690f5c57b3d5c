"""`doggo bot run` and its sisters as real processes: how they begin, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.botting import answers
from tests.canned import Canned
from tests.commands import run_doggo
from tests.simulating import TOKEN, Simulating, wait_for
from tests.tiny_bundle import COLOURS, make_bundle, picture

from doggo.apps.bot import served_bot
from doggo.core.errors import UsageError
from doggo.settings import Settings

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulating]:
    with Simulating(retry_factor=0.02) as running:
        yield running


class Process:
    """A command that runs; what it says is in a file."""

    def __init__(self, home: Path, *words: object, **env: str) -> None:
        self._said = home.parent / f"said-{time.monotonic_ns()}.txt"
        with self._said.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error::ResourceWarning", "-m", "doggo", *map(str, words)],
                env={**os.environ, "DOGGO_HOME": str(home), **env},
                cwd=home.parent,
                stderr=file,
                stdout=file,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def waits_to_say(self, words: str) -> None:
        wait_for(lambda: words in self.said or self.process.poll() is not None, PATIENCE_S)
        assert words in self.said

    def ends(self, number: signal.Signals) -> None:
        """Ask for an end: it must be a clean one."""
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE_S) == 0, self.said
        assert "Traceback" not in self.said
        assert TOKEN not in self.said


@contextmanager
def running(home: Path, *words: object, **env: str) -> Iterator[Process]:
    process = Process(home, *words, **env)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


def telegram(sim: Simulating) -> dict[str, str]:
    return {"TELE_API_KEY": TOKEN, "DOGGO_TELEGRAM_URL": sim.url}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_polls_answers_and_ends_clean(
    sim: Simulating, bundle: Path, tmp_path: Path, end: signal.Signals
) -> None:
    home = tmp_path / "home"
    with running(home, "bot", "run", "--bundle", bundle, **telegram(sim)) as bot:
        bot.waits_to_say("@doggo_rehearsal_bot answers in Telegram with colour")
        user = sim.start_user()
        sim.telegram.people.send_photo(user, user, picture(COLOURS["pug"]))
        wait_for(lambda: any("Pug" in one["text"] for one in answers(sim, user)))
        second = run_doggo(home, "bot", "run", "--bundle", bundle, **telegram(sim))
        assert second.code == 2
        assert f"process {bot.process.pid} is the bot already" in second.line()
        bot.ends(end)
    assert (home / "secrets" / "people.key").stat().st_mode & 0o077 == 0


def test_it_ends_at_once_while_telegram_is_away(bundle: Path, tmp_path: Path) -> None:
    away = {"TELE_API_KEY": TOKEN, "DOGGO_TELEGRAM_URL": "http://127.0.0.1:9"}
    home = tmp_path / "home"
    with running(home, "bot", "run", "--bundle", bundle, **away) as bot:
        wait_for((home / "bot.db").exists, PATIENCE_S)
        time.sleep(2)
        bot.ends(signal.SIGINT)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "TELE_API_KEY is not set"),
        ("  ", "TELE_API_KEY is not set"),
        ("424242:a-wrong-one", "Telegram refuses TELE_API_KEY"),
    ],
)
def test_without_a_good_token_it_is_one_line(
    sim: Simulating, bundle: Path, tmp_path: Path, key: str, said: str
) -> None:
    env = {"TELE_API_KEY": key, "DOGGO_TELEGRAM_URL": sim.url}
    done = run_doggo(tmp_path / "home", "bot", "run", "--bundle", bundle, **env)
    assert done.code != 0
    assert said in done.line()
    assert "a-wrong-one" not in done.out + done.err


def test_with_an_address_it_sets_the_webhook_with_its_own_secret(
    sim: Simulating, bundle: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    address = "http://127.0.0.1:9/"
    words = ("bot", "run", "--webhook", address, "--port", 0, "--bundle", bundle)
    with running(home, *words, **telegram(sim)) as bot:
        bot.waits_to_say("Telegram brings updates to http://127.0.0.1:9/telegram/webhook")
        hook = sim.telegram.hooks.current
        assert hook is not None
        assert hook.secret == (home / "secrets" / "webhook.secret").read_text().strip()
        assert len(hook.secret) >= 32
        bot.waits_to_say("serving colour")
        url = bot.said.partition(" at ")[2].split()[0]
        hook.url = f"{url}/telegram/webhook"
        sim.telegram.hooks.change(hook)
        user = sim.start_user()
        wait_for(lambda: answers(sim, user))
        bot.ends(signal.SIGTERM)
    assert sim.telegram.hooks.current is not None, "Telegram keeps what comes until we are back"
    sim.call("deleteWebhook")


def test_a_home_that_cannot_be_used_is_one_line(
    sim: Simulating, bundle: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "bot.db").write_bytes(b"no database" * 100)
    done = run_doggo(home, "bot", "run", "--bundle", bundle, **telegram(sim))
    assert done.code == 1
    assert "bot.db" in done.line()


@pytest.mark.parametrize(
    "address", ["dogs.example.org", "http://dogs.example.org", "ftp://dogs.example.org", "https:"]
)
def test_an_address_that_telegram_would_refuse_is_a_wrong_use(tmp_path: Path, address: str) -> None:
    settings = Settings(_env_file=None, home=tmp_path, tele_api_key=TOKEN)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="https"):
        served_bot(settings, address, ngrok=False, say=lambda _: None)


def test_ngrok_s_address_wins_and_without_ngrok_the_server_still_starts(
    sim: Simulating, tmp_path: Path
) -> None:
    tunnels = b'{"tunnels": [{"public_url": "https://a1b2.ngrok.app"}]}'
    said: list[str] = []
    with Canned({"/api/tunnels": (200, tunnels)}) as ngrok:
        given = {"tele_api_key": TOKEN, "telegram_url": sim.url, "ngrok_url": ngrok.url}
        settings = Settings(_env_file=None, home=tmp_path, **given)  # type: ignore[arg-type,call-arg]
        bot = served_bot(settings, None, ngrok=True, say=said.append)
    assert bot._webhook_url == "https://a1b2.ngrok.app/telegram/webhook"
    bot = served_bot(settings, None, ngrok=True, say=said.append)
    assert bot._webhook_url == ""
    assert "ngrok" in said[0]
