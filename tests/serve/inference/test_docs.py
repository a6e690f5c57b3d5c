"""The examples of docs/inference-protocol.md do what the page says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serving import Serving
from tests.tiny_bundle import make_bundle, picture

from doggo.serve.inference.answer import OUTPUTS
from doggo.serve.inference.samples import INFER
from doggo.serve.models import FixedBundle

PAGE = (Path(__file__).parents[3] / "docs" / "inference-protocol.md").read_text()
COMMANDS = [
    block.removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
]
SAMPLES = [sample["source"] for sample in INFER["x-codeSamples"]]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(FixedBundle(make_bundle(tmp_path_factory.mktemp("b") / "colour"))) as serving:
        yield serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dog.jpg").write_bytes(picture((20, 230, 20)))
    return tmp_path


@pytest.mark.parametrize("command", [*COMMANDS, *SAMPLES])
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here: its examples need it")
def test_the_commands_answer(server: Serving, folder: Path, command: str) -> None:
    command = command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True
    )
    outputs = {one["name"]: one["data"] for one in json.loads(done.stdout)["outputs"]}
    assert outputs["breed"][0] == "beagle"


def test_the_program_answers(server: Serving, folder: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = program.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] == "beagle"


def test_every_output_is_on_the_page() -> None:
    for name, output in OUTPUTS.items():
        shape = r"\[N, K\]" if output.a_breed else r"\[N\]"
        assert re.search(rf"^\| `{name}` \| {output.datatype} \| {shape} \|", PAGE, re.MULTILINE)
    assert len(COMMANDS) == len(SAMPLES) == 2
