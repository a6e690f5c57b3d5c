"""The home folder that is none, cannot be made, or is somebody else's."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.commands import Done, run_doggo
from tests.homes import drawn_folder

from doggo.apps.doctor import examine
from doggo.apps.finding import Level
from doggo.core.errors import StorageError
from doggo.settings import Settings
from doggo.storage.home import make_home, read_only_uri

_BOUND = ["--bounding-set=-dac_override,-dac_read_search"]


def _as_another_user(home: Path, *words: object) -> Done:
    """Run the command line without root's right to write everywhere."""
    bound = ["setpriv", *_BOUND] if os.getuid() == 0 else []
    if bound and shutil.which("setpriv") is None:
        pytest.skip("no setpriv: root cannot give up writing everywhere")
    done = subprocess.run(
        [*bound, sys.executable, "-m", "doggo", *map(str, words)],
        env={**os.environ, "DOGGO_HOME": str(home)},
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def others_home(tmp_path: Path) -> Iterator[Path]:
    """A home with photos, without the right to write to it."""
    home = tmp_path / "home"
    photos = drawn_folder(tmp_path / "photos", breeds=1, photos=2)
    (photos / "affenpinscher" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    assert run_doggo(home, "intake", photos).code == 0
    assert run_doggo(home, "bot", "dead-letters").code == 0
    modes = {path: path.stat().st_mode for path in (home, *home.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield home
    for path, mode in modes.items():
        path.chmod(mode)


def test_another_users_home_can_be_read(others_home: Path, tmp_path: Path) -> None:
    aside = _as_another_user(others_home, "quarantine", "--json")
    assert (aside.code, len(aside.json())) == (0, 1)
    assert _as_another_user(others_home, "models", "list", "--json").json() == []
    checks = _as_another_user(others_home, "doctor", "--json").json()["findings"]
    assert {f["level"] for f in checks if f["check"] in ("database", "photos")} == {"OK"}
    copied = _as_another_user(others_home, "backup", tmp_path / "all.tar", "--json")
    assert copied.code == 0, copied.err


@pytest.mark.parametrize("words", [["intake", "photos"], ["preprocess"], ["models", "rollback"]])
def test_writing_to_another_users_home_is_a_matter_of_permission(
    others_home: Path, words: list[str]
) -> None:
    done = _as_another_user(others_home, *words)
    assert (done.code, done.out, done.other_lines()) == (1, "", [done.line()])
    assert f"this user may not write to {others_home}: change its owner" in done.line()


def test_a_database_that_may_not_be_written_to_is_named(others_home: Path) -> None:
    others_home.chmod(0o700)
    done = _as_another_user(others_home, "intake", "photos")
    assert f"may not write to {others_home / 'photos.db'}" in done.line()


def test_a_database_in_use_is_read_with_what_is_in_its_log(tmp_path: Path) -> None:
    file = tmp_path / "a?b#c.db"
    with closing(sqlite3.connect(file)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE photos (name TEXT)")
        live.execute("INSERT INTO photos VALUES ('in the log')")
        live.commit()
        with closing(sqlite3.connect(read_only_uri(file), uri=True)) as reader:
            assert reader.execute("SELECT name FROM photos").fetchall() == [("in the log",)]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.execute("DELETE FROM photos")


COMMANDS = [
    ["quarantine"],
    ["models", "list"],
    ["predict", "."],
    ["serve", "--port", "0"],
    ["bot", "dead-letters"],
    ["ui"],
    ["restore", "any.tar"],
]


@pytest.mark.parametrize("words", [*COMMANDS, ["backup", "any.tar"]], ids=" ".join)
def test_a_home_that_is_a_file_is_one_line(tmp_path: Path, words: list[str]) -> None:
    home = tmp_path / "home"
    home.write_text("in the way")
    done = run_doggo(home, *words)
    assert (done.code, done.out, done.other_lines()) == (1, "", [done.line()])
    assert done.line().startswith(f"doggo: DOGGO_HOME is {home}, which is a file and no folder")
    assert home.read_text() == "in the way"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run_doggo(tmp_path / "file" / "home", *words, cwd=tmp_path)
    assert (done.code, done.out, done.other_lines()) == (1, "", [done.line()])
    assert f"DOGGO_HOME is {tmp_path / 'file' / 'home'}, which cannot be made" in done.line()


def test_where_the_system_makes_no_folders_it_is_said() -> None:
    with pytest.raises(StorageError, match="DOGGO_HOME is /proc/nope, which cannot be made"):
        make_home(Path("/proc/nope"))


def test_the_doctor_finds_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = examine(Settings(home=tmp_path / "file" / "home")).findings
    assert [f.level for f in found if f.check == "home"] == [Level.FAIL]
