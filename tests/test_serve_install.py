"""The base install alone, on every Python that doggo supports and this machine has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from doggo.apps.drawn import drawn_jpeg

ROOT = Path(__file__).resolve().parents[1]
LIMIT_BYTES = 300 * 10**6
OFFLINE = ("error sending request", "dns error", "Could not connect", "timed out", "unreachable")
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
} | {"UV_SYSTEM_CERTS": "true"}


def _uv() -> str:
    pinned = ROOT / ".venv" / ".uv" / "bin" / "uv"
    found = str(pinned) if pinned.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not here: run `make setup`")
    return found


def _interpreter(version: str) -> str:
    managed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for candidate in (f"python{version}", *map(str, managed)):
        try:
            asked = subprocess.run(
                [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            continue
        if asked.stdout.strip() == version:
            return candidate
    pytest.skip(f"Python {version} is not on this machine")


def _run_uv(*arguments: str) -> None:
    done = subprocess.run(
        [_uv(), *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode and any(words in done.stderr for words in OFFLINE):
        pytest.skip("the package registry cannot be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    _run_uv(
        *("build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", str(out)),
        *("--python", sys.executable, str(ROOT)),
    )
    [built] = out.glob("doggo-*.whl")
    return built


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made by the full install, as an owner would carry it to a server."""
    folder = tmp_path_factory.mktemp("owner")
    environment = {**ENVIRONMENT, "DOGGO_HOME": str(folder / "home")}
    doggo = str(Path(sys.executable).with_name("doggo"))
    for arguments in (["bootstrap"], ["models", "export", str(folder / "bundle")]):
        subprocess.run([doggo, *arguments], env=environment, check=True, capture_output=True)
    return folder / "bundle"


def _install(wheel: Path, version: str, folder: Path) -> Path:
    environment = folder / "venv"
    _run_uv("venv", "--quiet", "--python", _interpreter(version), str(environment))
    python = environment / "bin" / "python"
    target = ("--quiet", "--python", str(python))
    lock = str(ROOT / "requirements" / "serve.lock")
    _run_uv("pip", "install", *target, "--require-hashes", "-r", lock)
    _run_uv("pip", "install", *target, "--no-deps", str(wheel))
    return python


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_base_install_is_small_and_answers(
    wheel: Path, bundle: Path, version: str, tmp_path: Path
) -> None:
    python = _install(wheel, version, tmp_path)
    [site_packages] = (tmp_path / "venv").glob("lib/python*/site-packages")
    size = sum(f.stat().st_size for f in site_packages.rglob("*") if f.is_file())
    assert size <= LIMIT_BYTES, f"{size / 1e6:.0f} MB"

    doggo = str(python.with_name("doggo"))
    home = {**ENVIRONMENT, "DOGGO_HOME": str(tmp_path / "home")}
    for arguments in ([doggo, "--help"], [doggo, "doctor"]):
        done = subprocess.run(arguments, env=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    photo = tmp_path / "one.jpg"
    photo.write_bytes(drawn_jpeg("drawn_rings", 0))
    asked = subprocess.run(
        [doggo, "predict", "--bundle", str(bundle), "--json", str(photo)],
        env=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert len(answer["breeds"]) >= 3

    loads_the_server = (
        "import sys, doggo.apps.api, doggo.vision.predictor;"
        "sys.exit(bool({'torch', 'pyarrow', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    subprocess.run([str(python), "-c", loads_the_server], env=home, check=True)
