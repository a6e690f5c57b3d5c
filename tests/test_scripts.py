"""The set-up says what is missing in one line, before it changes anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _run(script: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script)],
        env={"PATH": path, "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def _tools(folder: Path, *names: str) -> None:
    """Link only these of the system's programs into `folder`, which becomes the whole PATH."""
    folder.mkdir(exist_ok=True)
    for name in names:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)


def test_a_python_that_fits_is_found_behind_one_that_does_not(tmp_path: Path) -> None:
    _tools(tmp_path / "bin", "sh")
    _program(tmp_path / "bin", "python3.11", "exit 127")  # a version manager's empty shim
    _program(tmp_path / "bin", "python3.12", f'exec "{sys.executable}" "$@"')
    found = _run(ROOT / "scripts" / "find_python.sh", str(tmp_path / "bin"))
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == sys.executable


def test_no_python_that_fits_is_one_line_naming_what_is_there(tmp_path: Path) -> None:
    _tools(tmp_path / "bin", "sh")
    _program(
        tmp_path / "bin", "python3", '[ "$1" = --version ] && echo "Python 3.9.2" && exit; exit 1'
    )
    found = _run(ROOT / "scripts" / "find_python.sh", str(tmp_path / "bin"))
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "Python 3.9.2" in found.stderr


def test_a_python_named_by_hand_has_to_fit(tmp_path: Path) -> None:
    _tools(tmp_path / "bin", "sh")
    script, path = ROOT / "scripts" / "find_python.sh", str(tmp_path / "bin")
    assert _run(script, path, PYTHON=sys.executable).stdout.strip() == sys.executable
    refused = _run(script, path, PYTHON="/no/such/python")
    assert refused.returncode == 1
    assert "/no/such/python" in refused.stderr


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the set-up reads, in a folder of its own."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_a_full_disk_is_told_before_anything_is_installed(clone: Path, tmp_path: Path) -> None:
    _program(
        tmp_path / "bin",
        "df",
        'echo "Filesystem 1M-blocks Used Available Capacity Mounted"; echo "d 10 9 812 99% /"',
    )
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = _run(clone / "scripts" / "setup.sh", path)
    assert done.returncode == 1
    assert "812 MB free" in done.stderr
    assert "GB on disk" in done.stderr
    assert not list((clone / ".venv").iterdir())


def test_the_second_time_takes_nothing_but_a_look_at_the_stamp(clone: Path, tmp_path: Path) -> None:
    # A stamp that fits, and a PATH without anything that could install.
    _tools(tmp_path / "bin", "bash", "cat", "cksum", "dirname", "env")
    binaries = clone / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    files = (
        "requirements/dev.lock",
        "requirements/setup.lock",
        "pyproject.toml",
        "scripts/setup.sh",
    )
    text = b"".join((clone / name).read_bytes() for name in files)
    sums = subprocess.run(["cksum"], input=text, capture_output=True, check=True).stdout.decode()
    stamp = clone / ".venv" / ".doggo-stamp"
    stamp.write_text(f"{sums.strip()} {clone.resolve()}")
    done = _run(clone / "scripts" / "setup.sh", str(tmp_path / "bin"))
    assert (done.returncode, done.stderr) == (0, "")


def test_without_apt_the_browser_is_asked_for_and_nothing_fails(tmp_path: Path) -> None:
    _tools(tmp_path / "bin", "bash", "env")
    done = _run(ROOT / "scripts" / "install_debian_packages.sh", str(tmp_path / "bin"))
    assert done.returncode == 0
    assert "chromium is not here" in done.stderr
    assert "skipped" in done.stderr
