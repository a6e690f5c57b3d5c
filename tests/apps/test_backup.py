"""A backup holds everything, or nothing; a restore puts everything back, or nothing."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.commands import run_doggo
from tests.living import Living, check_whole, settings_of

from doggo.apps.backup import restore_backup, write_backup
from doggo.core.errors import StorageError, UsageError
from doggo.settings import Settings
from doggo.storage.archive import MANIFEST
from doggo.storage.disk import HEADROOM_BYTES
from doggo.storage.secret_files import secret_at


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """A small home whose database is in use: its last row lies in the write-ahead log alone."""
    settings = Settings(home=tmp_path / "home")
    raw = settings.home / "buckets" / "raw"
    raw.mkdir(parents=True)
    for i in range(20):
        (raw / f"{i}.jpg").write_bytes(bytes([i]) * 1000)
    (settings.home / "buckets" / "bundles").mkdir()
    (settings.home / "buckets" / "bundles" / "production").write_text("3")
    (settings.home / "cache").mkdir()
    (settings.home / "cache" / "big").write_bytes(b"0" * 10_000)
    with closing(sqlite3.connect(settings.home / "photos.db")) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("PRAGMA wal_autocheckpoint=0")
        live.execute("CREATE TABLE photos (name TEXT)")
        live.execute("INSERT INTO photos VALUES ('in the log')")
        live.commit()
        yield settings


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "photos.db" not in path.name
    }


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz"])
def test_both_commands_say_how_far_they_are(home: Settings, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    made = run_doggo(home.home, "backup", file, "--json")
    files, size_mb = made.json()["files"], f"{file.stat().st_size / 1e6:,.1f}"
    assert made.err.splitlines() == [f"backup: 0 of {files}", f"backup: {files} of {files}"]
    restored = run_doggo(tmp_path / "other", "restore", file, "--json")
    assert restored.json()["files"] == files
    assert restored.err.startswith(f"restore: {size_mb} of {size_mb} MB")


def test_a_restore_tells_how_much_of_the_archive_is_read(home: Settings, tmp_path: Path) -> None:
    file = tmp_path / "all.tar"
    write_backup(home, file)
    told: list[tuple[int, int]] = []
    restore_backup(
        Settings(home=tmp_path / "other"),
        file,
        progress=lambda _, done, total: told.append((done, total)),
    )
    size = file.stat().st_size
    assert {total for _, total in told} == {size}
    done = [done for done, _ in told]
    assert done == sorted(done)
    assert len(set(done)) > 20
    assert [one for one in done if one == size] == done[-1:]


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz", "all.tgz"])
def test_what_was_backed_up_comes_back(home: Settings, tmp_path: Path, name: str) -> None:
    made = write_backup(home, tmp_path / name)
    other = Settings(home=tmp_path / "other")
    restored = restore_backup(other, tmp_path / name)

    before = _contents(home.home)
    assert before.pop("cache/big")
    assert _contents(other.home) == before
    assert restored.contents.files == made.contents.files == len(before) + 1
    assert restored.contents.size_bytes == made.contents.size_bytes
    assert "cache (made again)" in made.contents.left_out


def test_a_database_in_use_is_copied_as_of_one_moment(home: Settings, tmp_path: Path) -> None:
    write_backup(home, tmp_path / "all.tar")
    other = Settings(home=tmp_path / "other")
    restore_backup(other, tmp_path / "all.tar")

    with closing(sqlite3.connect(other.home / "photos.db")) as copy:
        assert copy.execute("SELECT name FROM photos").fetchall() == [("in the log",)]
    assert not (other.home / "photos.db-wal").exists()


def test_what_points_is_copied_before_what_it_points_to(home: Settings, tmp_path: Path) -> None:
    write_backup(home, tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as tar:
        names = tar.getnames()
    assert names[:2] == ["home/buckets/bundles/production", "home/photos.db"]
    assert names[-1] == MANIFEST


@pytest.mark.parametrize("moment", [0, 1])
def test_a_backup_of_a_home_that_is_written_to_restores_to_one_that_works(
    tmp_path: Path, moment: int
) -> None:
    living = Living(tmp_path / "home", tmp_path)
    living.more()
    living.more()

    def write_meanwhile(_: str, done: int, __: int) -> None:
        if done == moment:
            living.more()

    write_backup(settings_of(living.root), tmp_path / "all.tar", progress=write_meanwhile)
    living.close()
    restore_backup(settings_of(tmp_path / "other"), tmp_path / "all.tar")
    check_whole(tmp_path / "other", versions=2)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz"])
def test_what_was_private_stays_private_and_the_archive_is(
    home: Settings, tmp_path: Path, name: str
) -> None:
    key = home.home / "secrets" / "people.key"
    secret_at(key)
    (home.home / "buckets" / "raw").chmod(0o750)
    (home.home / "buckets" / "raw" / "3.jpg").chmod(0o6777)
    home.home.chmod(0o711)
    write_backup(home, tmp_path / name)
    assert _mode(tmp_path / name) == 0o600
    other = Settings(home=tmp_path / "other")
    restore_backup(other, tmp_path / name)
    assert _mode(other.home / "secrets") == 0o700
    assert _mode(other.home / "secrets" / "people.key") == 0o600
    assert secret_at(other.home / "secrets" / "people.key") == secret_at(key)
    assert _mode(other.home) == 0o711
    assert _mode(other.home / "buckets") == 0o755
    assert _mode(other.home / "buckets" / "raw") == 0o750
    assert _mode(other.home / "buckets" / "raw" / "3.jpg") == 0o644
    assert _mode(other.home / "photos.db") == 0o644


@pytest.mark.usefixtures("usual_umask")
def test_a_restore_leaves_a_private_home_private(home: Settings, tmp_path: Path) -> None:
    write_backup(home, tmp_path / "all.tar")
    (empty := tmp_path / "empty").mkdir(mode=0o700)
    restore_backup(Settings(home=empty), tmp_path / "all.tar")
    assert _mode(empty) == 0o700


@pytest.mark.usefixtures("usual_umask")
def test_an_older_backup_without_modes_of_folders_restores_secrets_privately(
    home: Settings, tmp_path: Path
) -> None:
    secret_at(home.home / "secrets" / "people.key")
    write_backup(home, tmp_path / "all.tar")

    def without_modes(name: str, data: bytes) -> tuple[str, bytes]:
        if name != MANIFEST:
            return name, data
        manifest = json.loads(data)
        del manifest["private_folders"]
        return name, json.dumps(manifest).encode()

    other = Settings(home=tmp_path / "other")
    restore_backup(other, _altered(tmp_path / "all.tar", without_modes))
    assert _mode(other.home / "secrets") == 0o700


def test_buckets_kept_elsewhere_are_named_as_left_out(home: Settings, tmp_path: Path) -> None:
    away = Settings(home=home.home, raw_bucket=(tmp_path / "away").as_uri())
    made = write_backup(away, tmp_path / "all.tar")
    assert any("away" in line for line in made.contents.left_out)
    assert "away" in made.to_text()
    assert json.dumps(made.to_json())


def test_a_file_that_exists_is_not_replaced(home: Settings, tmp_path: Path) -> None:
    file = tmp_path / "all.tar"
    file.write_text("an older backup")
    with pytest.raises(UsageError, match="exists"):
        write_backup(home, file)
    assert file.read_text() == "an older backup"


def test_a_backup_inside_the_home_is_refused(home: Settings) -> None:
    with pytest.raises(UsageError, match="inside the home"):
        write_backup(home, home.home / "all.tar")


def test_an_unknown_ending_is_refused_and_says_which_are_known(
    home: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"\.tar\.gz"):
        write_backup(home, tmp_path / "all.zip")


def test_nothing_is_left_behind_when_a_backup_fails(home: Settings, tmp_path: Path) -> None:
    (home.home / "broken.db").write_bytes(b"SQLite format 3\x00" + b"not really" * 100)
    target = tmp_path / "backups"
    with pytest.raises(StorageError, match=r"broken\.db.*doggo doctor"):
        write_backup(home, target / "all.tar")
    assert list(target.iterdir()) == []


def test_a_home_in_use_is_not_overwritten_unasked(home: Settings, tmp_path: Path) -> None:
    write_backup(home, tmp_path / "all.tar")
    before = _contents(home.home)
    with pytest.raises(UsageError, match="not empty"):
        restore_backup(home, tmp_path / "all.tar")
    assert _contents(home.home) == before


def test_force_moves_the_old_home_aside_and_keeps_it(home: Settings, tmp_path: Path) -> None:
    write_backup(home, tmp_path / "all.tar")
    (home.home / "later").write_text("made after the backup")
    restored = restore_backup(home, tmp_path / "all.tar", force=True)
    assert restored.moved_aside is not None
    assert (restored.moved_aside / "later").read_text() == "made after the backup"
    assert not (home.home / "later").exists()
    assert str(restored.moved_aside) in restored.to_text()


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz"])
def test_a_backup_that_has_no_room_is_refused_before_the_start(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_backup(home, tmp_path / name)
    room = HEADROOM_BYTES + 10_000  # for any file of it, not for all
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: room)
    told: list[int] = []
    other = Settings(home=tmp_path / "other")
    with pytest.raises(StorageError, match=f"not enough disk .* what .*{name} holds"):
        restore_backup(other, tmp_path / name, progress=lambda _, done, __: told.append(done))
    assert told == []
    assert {path.name for path in tmp_path.iterdir()} == {"home", name}


def _altered(file: Path, alter: object) -> Path:
    """Rewrite an archive member by member; `alter(name, data)` returns the new pair or None."""
    assert callable(alter)
    out = file.with_name("altered.tar")
    with tarfile.open(file) as old, tarfile.open(out, "w") as new:
        for member in old:
            source = old.extractfile(member)
            assert source is not None
            changed = alter(member.name, source.read())
            if changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, io.BytesIO(changed[1]))
    return out


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda n, d: (n, b"x" + d[1:]) if n.endswith("/7.jpg") else (n, d), "7.jpg"),
        (lambda n, d: None if n.endswith("/7.jpg") else (n, d), "7.jpg"),
        (lambda n, d: None if n == MANIFEST else (n, d), "cut off"),
        (lambda n, d: (n.replace("7.jpg", "../../../evil.jpg"), d), "nothing was restored"),
        (lambda n, d: (n.replace("home/buckets/raw/7.jpg", "/evil.jpg"), d), "nothing was"),
        (lambda n, d: (n.replace("home/buckets/raw/7.jpg", "home//evil.jpg"), d), "nothing was"),
        (lambda n, d: (n, b'{"format": 99}') if n == MANIFEST else (n, d), "upgrade doggo"),
        (lambda n, d: (n, b'{"format": 1}') if n == MANIFEST else (n, d), "not a readable"),
        (lambda n, d: (n, b"[" * 50) if n == MANIFEST else (n, d), "not a readable"),
    ],
    ids=[
        "one_byte", "one_file_gone", "no_end", "dots", "absolute", "absolute_under_home",
        "newer_format", "no_hashes", "not_json",
    ],
)  # fmt: skip
def test_an_altered_archive_restores_nothing(
    home: Settings, tmp_path: Path, alter: object, says: str
) -> None:
    write_backup(home, tmp_path / "all.tar")
    other = Settings(home=tmp_path / "place" / "other")
    with pytest.raises(StorageError, match=says):
        restore_backup(other, _altered(tmp_path / "all.tar", alter))
    assert list((tmp_path / "place").iterdir()) == []
    assert not list(tmp_path.rglob("evil.jpg"))


def test_links_in_an_archive_are_refused(home: Settings, tmp_path: Path) -> None:
    write_backup(home, tmp_path / "all.tar")
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        link = tarfile.TarInfo("home/way_out")
        link.type = tarfile.SYMTYPE
        link.linkname = str(tmp_path)
        tar.addfile(link)
    with pytest.raises(StorageError, match="nothing was restored"):
        restore_backup(Settings(home=tmp_path / "other"), tmp_path / "links.tar")


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.8])
def test_a_cut_archive_restores_nothing(
    home: Settings, tmp_path: Path, name: str, kept: float
) -> None:
    file = tmp_path / name
    write_backup(home, file)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(StorageError, match=name):
        restore_backup(Settings(home=tmp_path / "other"), file)
    assert not (tmp_path / "other").exists()


def test_a_backup_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not there"):
        restore_backup(Settings(home=tmp_path / "other"), tmp_path / "nowhere.tar")
    with pytest.raises(StorageError, match="DOGGO_HOME"):
        write_backup(Settings(home=tmp_path / "no-home"), tmp_path / "all.tar")
