"""The base install, alone and with `fast`, on the Pythons that doggo supports and are here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from doggo.apps.drawn import drawn_jpeg

ROOT = Path(__file__).resolve().parents[1]
BASE_LIMIT_MB, FAST_LIMIT_MB = 300, 450
OFFLINE = ("error sending request", "dns error", "Could not connect", "timed out", "unreachable")
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
} | {"UV_SYSTEM_CERTS": "true"}


def _uv() -> str:
    pinned = ROOT / ".venv" / ".uv" / "bin" / "uv"
    found = str(pinned) if pinned.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("no install was checked: uv is not here, run `make setup`")
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
    pytest.skip(f"no install was checked on Python {version}: it is not on this machine")


def _run_uv(*arguments: str) -> None:
    done = subprocess.run(
        [_uv(), *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode and any(words in done.stderr for words in OFFLINE):
        pytest.skip("no install was checked: the package registry cannot be reached")
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


def _install(wheel: Path, version: str, folder: Path, *, fast: bool = False) -> Path:
    """Return the Python of a new environment that holds doggo as the locks have it."""
    environment = folder / "venv"
    _run_uv("venv", "--quiet", "--python", _interpreter(version), str(environment))
    python = environment / "bin" / "python"
    target = ("--quiet", "--python", str(python))
    lock = str(ROOT / "requirements" / "serve.lock")
    _run_uv("pip", "install", *target, "--require-hashes", "-r", lock)
    if fast:
        every_lock = str(ROOT / "requirements" / "dev.lock")
        _run_uv("pip", "install", *target, "--constraints", every_lock, f"{wheel}[fast]")
    else:
        _run_uv("pip", "install", *target, "--no-deps", str(wheel))
    return python


def _size_mb(folder: Path) -> float:
    [site_packages] = (folder / "venv").glob("lib/python*/site-packages")
    return sum(f.stat().st_size for f in site_packages.rglob("*") if f.is_file()) / 1e6


def _ask_server(doggo: Path, bundle: Path, home: dict[str, str]) -> tuple[object, object]:
    """Start `doggo serve` on loopback; return what it says of its model and of a photo."""
    server = subprocess.Popen(
        [str(doggo), "serve", "--bundle", str(bundle), "--no-bot", "--port", "0"],
        env=home,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        said = next((line for line in server.stderr if "http://127.0.0.1:" in line), None)
        assert said is not None, "the server ended before it said where it listens"
        url = next(word for word in said.split() if word.startswith("http://"))
        photo = {"photo": ("one.jpg", drawn_jpeg("drawn_rings", 0), "image/jpeg")}
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            answers = client.get("/v1/model"), client.post("/v1/predict", files=photo)
        assert [answer.status_code for answer in answers] == [200, 200]
        return answers[0].json(), answers[1].json()
    finally:
        server.terminate()
        server.communicate(timeout=60)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_base_install_is_small_and_answers(
    wheel: Path, bundle: Path, version: str, tmp_path: Path
) -> None:
    python = _install(wheel, version, tmp_path)
    assert _size_mb(tmp_path) <= BASE_LIMIT_MB

    doggo = python.with_name("doggo")
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
    told = json.loads(asked.stdout)
    _, answered = _ask_server(doggo, bundle, home)
    assert isinstance(answered, dict)
    assert len(answered["breeds"]) >= 3
    assert (answered["verdict"], answered["breeds"]) == (told["verdict"], told["breeds"])

    loads_the_server = (
        "import sys, doggo.apps.api, doggo.vision.predictor;"
        "sys.exit(bool({'torch', 'pyarrow', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    subprocess.run([str(python), "-c", loads_the_server], env=home, check=True)


def test_the_fast_install_is_small_and_answers_with_openvino(
    wheel: Path, bundle: Path, tmp_path: Path
) -> None:
    doggo = _install(wheel, "3.11", tmp_path, fast=True).with_name("doggo")
    assert _size_mb(tmp_path) <= FAST_LIMIT_MB
    home = {**ENVIRONMENT, "DOGGO_HOME": str(tmp_path / "home"), "DOGGO_RUNTIME": "openvino-f32"}
    model, answered = _ask_server(doggo, bundle, home)
    assert isinstance(model, dict)
    assert isinstance(answered, dict)
    assert (model["runtime"], model["precision"]) == ("openvino", "f32")
    assert len(answered["breeds"]) >= 3
