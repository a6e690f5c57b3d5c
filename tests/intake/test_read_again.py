"""Files that could not be read once, and are read again where that may end otherwise."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest
from tests.commands import decoding_processes
from tests.homes import Home, counts, drawn_folder, jpeg, write_folder

from doggo.intake import batches, run, worker


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def read_chunk_and_die(chunk: object) -> object:
    """A decoding process that the kernel ends, as it does where memory is short."""
    os.kill(os.getpid(), 9)
    return chunk


def read_chunk_but_hang(chunk: object) -> object:
    """A decoding process that hangs over one of the files."""
    if any(Path(place).name == "000.jpg" for place, _ in chunk.files):  # type: ignore[attr-defined]
        time.sleep(60)
    return worker.read_chunk(chunk)  # type: ignore[arg-type]


def use(reader: str, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]), prepend=os.pathsep)
    patch.setattr(run, "_READER", f"tests.intake.test_read_again:{reader}")


def test_files_whose_decoder_was_killed_are_added_by_the_next_intake(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=3)
    with monkeypatch.context() as patch:
        use("read_chunk_and_die", patch)
        report = home.take_in(folder)
        assert counts(report) == {"quarantined": 3}
        assert "SIGKILL; the next intake tries again" in (report.quarantined[0].detail or "")
        assert counts(home.take_in(folder)) == {"quarantined": 3}
    assert counts(home.take_in(folder)) == {"added": 3}
    assert home.store.ledger.quarantined() == []
    undisturbed = Home.open(tmp_path / "undisturbed")
    undisturbed.take_in(folder)
    assert home.state() == undisturbed.state()
    assert len(home.prepare().rows) == 3


def test_a_file_that_hangs_each_time_costs_its_own_time_only(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=3)
    use("read_chunk_but_hang", monkeypatch)
    monkeypatch.setattr(run, "_FILE_TIMEOUT_S", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(run, "_CHUNK_TIMEOUT_S", 1.0)
        assert counts(home.take_in(folder)) == {"added": 2, "quarantined": 1}
    (folder / "affenpinscher" / "new.jpg").write_bytes(jpeg(77))
    began = time.monotonic()
    report = home.take_in(folder)  # a chunk may take 300 s now
    assert counts(report) == {"added": 1, "already_present": 2, "quarantined": 1}
    assert time.monotonic() - began < 20
    assert not decoding_processes()


def test_a_verdict_counts_until_another_decoder_or_release_can_read_the_file(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [jpeg(1), jpeg(2)[:700], jpeg(3, size_px=(90, 60)), b"no picture at all"]
    folder = write_folder(tmp_path / "photos", {"pug": files})
    assert counts(home.take_in(folder)) == {"added": 1, "quarantined": 3}
    before = home.state()
    with monkeypatch.context() as patch:
        patch.setattr(run, "_READER", "nobody:reads")  # all that is known is not read
        assert counts(home.take_in(folder)) == {"already_present": 1, "quarantined": 3}
    assert home.state() == before
    with monkeypatch.context() as patch:
        patch.setattr(batches, "reader_name", lambda: "a newer one")
        assert counts(home.take_in(folder)) == {"already_present": 1, "quarantined": 3}
    assert home.state() == before  # it came to the same


def test_verdicts_of_a_home_of_an_older_release_are_given_again(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1), jpeg(2), jpeg(3)[:700]]})
    home.take_in(folder)
    after = home.state()
    home.store.engine.dispose()
    with sqlite3.connect(home.root / "doggo.db") as database:  # the old one could not read 001.jpg
        database.execute("DELETE FROM photos WHERE raw_key = (SELECT max(raw_key) FROM photos)")
        database.execute(
            "UPDATE sources SET outcome = 'quarantined', reason = 'too_slow', photo_id = NULL "
            "WHERE photo_id NOT IN (SELECT photo_id FROM photos)"
        )
        database.execute("ALTER TABLE sources DROP COLUMN read_by")
        database.execute("PRAGMA user_version = 1")
    home = Home.open(home.root)
    assert len(home.store.ledger.quarantined()) == 2
    assert counts(home.take_in(folder)) == {"added": 1, "already_present": 1, "quarantined": 1}
    assert home.state() == after
