"""`doggo simulate` as a command: a page and a bot, nothing kept, a clean end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.commands import run_doggo
from tests.simulating import wait_for
from tests.tiny_bundle import COLOURS, make_bundle, picture


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


def test_a_person_can_talk_to_the_bot_and_nothing_is_kept(bundle: Path, tmp_path: Path) -> None:
    said, temporary = tmp_path / "said.txt", tmp_path / "tmp"
    temporary.mkdir()
    # A proxy, a real token and a real address must all be left alone.
    env = {
        **os.environ,
        "DOGGO_HOME": str(tmp_path / "home"),
        "TELE_API_KEY": "1:of-the-real-bot",
        "DOGGO_TELEGRAM_URL": "http://127.0.0.1:9",
        "TMPDIR": str(temporary),
        "http_proxy": "http://127.0.0.1:9",
    }
    words = ["simulate", "--port", "0", "--no-browser", "--bundle", str(bundle)]
    with said.open("w") as file:
        command = [sys.executable, "-m", "doggo", *words]
        process = subprocess.Popen(command, env=env, cwd=tmp_path, stderr=file)
    try:
        wait_for(lambda: "answers in Telegram with colour" in said.read_text(), 60)
        url = said.read_text().partition(" at ")[2].split()[0]
        with httpx.Client(base_url=url, trust_env=False) as page:
            assert "Rehearsal" in page.get("/").text
            user = page.post("/sim/do", json={"do": "user", "first_name": "Ada"}).json()["id"]
            photo = page.post("/sim/uploads", content=picture(COLOURS["pug"])).json()["upload"]
            page.post("/sim/do", json={"do": "photo", "chat": user, "user": user, "upload": photo})
            messages = f"/sim/chats/{user}/messages"
            wait_for(
                lambda: any("Pug." in one.get("text", "") for one in page.get(messages).json())
            )
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
    assert code == 0, said.read_text()
    assert "Traceback" not in said.read_text()
    assert list(temporary.glob("doggo*")) == []
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_a_port_that_is_taken_is_one_line(bundle: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ("simulate", "--port", port, "--no-browser", "--bundle", bundle)
        done = run_doggo(tmp_path / "home", *words)
    assert done.code == 2
    assert f"cannot listen on port {port}" in done.line()
