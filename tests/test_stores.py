"""Work folders: private, gone afterwards, and never another running command's loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.homes import open_stores

from doggo.stores import work_folder

_LONG_AGO = (0.0, 0.0)


def test_a_work_folder_is_gone_afterwards(tmp_path: Path) -> None:
    stores = open_stores(tmp_path)
    with work_folder(stores) as folder:
        (folder / "file").write_text("half done")
    assert not folder.exists()


def test_a_command_that_runs_for_days_keeps_its_folder(tmp_path: Path) -> None:
    stores = open_stores(tmp_path)
    with work_folder(stores) as folder:
        os.utime(folder, _LONG_AGO)
        with work_folder(stores) as other:
            assert folder.is_dir()
        assert folder.is_dir()
        assert not other.exists()


def test_the_folder_of_a_killed_command_is_removed_by_the_next_one(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path;"
        "from tests.homes import open_stores; from doggo.stores import work_folder;"
        "work = work_folder(open_stores(Path(sys.argv[1])));"
        "print(work.__enter__(), flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with work_folder(open_stores(tmp_path)):
        assert not left.exists()


def test_commands_that_start_and_end_at_once_do_not_disturb_one_another(tmp_path: Path) -> None:
    stores = open_stores(tmp_path)

    def command(number: int) -> bool:
        with work_folder(stores) as folder:
            (folder / "file").write_text(str(number))
            return (folder / "file").read_text() == str(number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(command, range(400)))
    assert not list((tmp_path / "work").iterdir())
