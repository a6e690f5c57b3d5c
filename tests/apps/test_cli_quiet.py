"""What goes wrong is said once, in our own line: libraries add nothing to it."""

from __future__ import annotations

import random
import re
import signal
from pathlib import Path

import httpx
import pytest
from tests.bot_processes import add_bundle, free_port
from tests.commands import run_doggo, start_doggo


@pytest.mark.parametrize("name", ["big.bin", "big.tar.gz"])
def test_a_file_that_is_no_backup_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(random.Random(0).randbytes(100_000))
    done = run_doggo(tmp_path / "home", "restore", tmp_path / name)
    assert (done.code, done.out, done.err.splitlines()) == (1, "", [done.line()])
    assert f"{tmp_path / name} is not a readable backup" in done.line()
    assert not (tmp_path / "home").exists()


def test_what_the_gate_refuses_is_said_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add_bundle(home)
    add_bundle(home, turn=1, promote=False)
    done = run_doggo(home, "models", "promote", 2)
    assert (done.code, done.out, done.err.splitlines()) == (1, "", [done.line()])
    assert done.line().count("it cannot be compared with version 1") == 1


def test_a_tracker_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add_bundle(home)
    silent = f"http://127.0.0.1:{free_port()}"
    done = run_doggo(home, "models", "sync", DOGGO_TRACKER=silent)
    assert (done.code, done.err.splitlines()) == (1, [done.line()])
    assert f"the tracker at {silent} failed" in done.line()


def test_a_server_without_a_model_says_how_to_get_one_and_nothing_of_a_malformed_form(
    tmp_path: Path,
) -> None:
    port = free_port()
    running = start_doggo(tmp_path / "home", "serve", "--port", port)
    running.wait_for("doggo: serving no model yet (`doggo run FOLDER` or `doggo bootstrap` makes")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = httpx.post(
        f"http://127.0.0.1:{port}/v1/predict", content=b"--x\r\nno header\r\n", headers=headers
    )
    assert reply.status_code == 422
    running.process.send_signal(signal.SIGTERM)
    done = running.end()
    assert done.code == 0
    assert re.fullmatch(
        r"doggo: serving no model yet .* at http://\S+  \(Ctrl-C stops\)\n", done.err
    )
