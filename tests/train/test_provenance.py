"""Which code is running."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import doggo
from doggo.train.provenance import git_revision


def _git(folder: Path, *arguments: str) -> None:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *options, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "src" / "doggo"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(doggo, "__file__", str(package / "__init__.py"))
    return tmp_path


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_checkout_gives_its_commit_and_says_if_it_was_changed(checkout: Path) -> None:
    _git(checkout, "init", "-q")
    assert git_revision() == "unknown"  # no commit yet
    _git(checkout, "add", ".")
    _git(checkout, "commit", "-qm", "first")
    assert re.fullmatch(r"[0-9a-f]{40}", git_revision())
    (checkout / "src" / "doggo" / "__init__.py").write_text("changed = True")
    assert re.fullmatch(r"[0-9a-f]{40}-dirty", git_revision())


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_an_environment_inside_another_repository_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / ".venv" / "doggo"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "somebody else's")
    monkeypatch.setattr(doggo, "__file__", str(package / "__init__.py"))
    assert git_revision() == "unknown"


def test_without_git_it_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert git_revision() == "unknown"
