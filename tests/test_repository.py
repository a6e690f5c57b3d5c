"""The repository itself: what its pages claim is what its files hold."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from doggo.apps.api import create_app, watch_models
from doggo.apps.cli import app
from doggo.serve.metrics import Metrics
from doggo.serve.models import ProductionBundle
from doggo.settings import Settings
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]


def _files() -> list[str]:
    """Every file of the repository: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the files of the repository are not known")
    return sorted({name for name in listed.stdout.splitlines() if (ROOT / name).is_file()})


def _pages() -> list[Path]:
    return [*PAGES, *sorted((ROOT / "docs").rglob("*.md"))]


def _drawn_tree() -> dict[str, str]:
    """Return the README's tree as path -> annotation; folders end in a slash."""
    readme = (ROOT / "README.md").read_text()
    drawn = re.search(r"<!-- tree.*?```text\n(.*?)```", readme, re.DOTALL)
    assert drawn is not None
    tree: dict[str, str] = {}
    above = ""
    for line in drawn[1].splitlines():
        name, _, note = line.strip().partition(" ")
        if not line.startswith(" "):
            above = name if name.endswith("/") else ""
            tree[name] = note.strip()
        else:
            tree[above + name] = note.strip()
    return tree


def _children(folder: str, files: list[str]) -> set[str]:
    found = set()
    for name in files:
        if name.startswith(folder):
            first, slash, _ = name.removeprefix(folder).partition("/")
            found.add(folder + first + slash)
    return found


@pytest.mark.parametrize("folder", ["", "docs/", "src/doggo/"])
def test_the_tree_in_the_readme_is_the_tree_of_files(folder: str) -> None:
    drawn = {
        re.sub(r"^src/doggo/$", "src/", path) if folder == "" else path
        for path in _drawn_tree()
        if path.startswith(folder) and path != folder
    }
    direct = {
        path
        for path in drawn
        if "/" not in path.removeprefix(folder).rstrip("/") and path != folder
    }
    assert direct == _children(folder, _files())


def test_every_folder_and_module_of_the_tree_is_annotated() -> None:
    assert [path for path, note in _drawn_tree().items() if not note] == []


def _commands() -> Iterator[tuple[str, list[str]]]:
    def walk(command: object, path: str) -> Iterator[tuple[str, list[str]]]:
        children = getattr(command, "commands", None)
        options = [
            option
            for parameter in getattr(command, "params", [])
            if parameter.param_type_name == "option"
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option != "--help"
        ]
        yield path, options
        for name, child in (children or {}).items():
            yield from walk(child, f"{path} {name}")

    yield from walk(typer.main.get_command(app), "doggo")


def test_every_command_and_option_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for command, options in _commands():
        if command != "doggo models":
            assert re.search(rf"`?{command}\b", page), f"{command} is not in docs/commands.md"
        for option in options:
            assert re.search(rf"`{option}\b", page), f"{command} {option} is not in the docs"


def test_every_command_in_the_pages_exists() -> None:
    known = {command for command, _ in _commands()}
    for page in _pages():
        for words in re.findall(r"\bdoggo ((?:models )?[a-z]+)", "\n".join(_code(page))):
            assert f"doggo {words}" in known, f"{page.name} speaks of `doggo {words}`"


def _code(page: Path) -> list[str]:
    """Return the code of a page: blocks and spans."""
    text = page.read_text()
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [*blocks, *spans]


def test_every_setting_is_in_the_docs_and_no_other() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    known = {f"DOGGO_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"DOGGO_[A-Z_]+", page))
    assert named == known
    aliases = {
        str(choice)
        for field in Settings.model_fields.values()
        if (alias := field.validation_alias) is not None
        for choice in getattr(alias, "choices", ())
    }
    assert all(alias in page for alias in aliases)


def test_every_setting_named_elsewhere_exists() -> None:
    known = {f"DOGGO_{name.upper()}" for name in Settings.model_fields}
    for page in _pages():
        for name in re.findall(r"DOGGO_[A-Z_]+[A-Z]", page.read_text()):
            assert name in known, f"{page.name} speaks of {name}"


def test_every_route_is_in_the_docs_and_no_other(tmp_path: Path) -> None:
    metrics = Metrics()
    models = watch_models(ProductionBundle(BundleStore(Bucket(tmp_path))), metrics)
    server = create_app(models, Settings(home=tmp_path), metrics)
    page = (ROOT / "docs" / "http.md").read_text()
    named = set(re.findall(r"^\| `(?:GET|POST) (\S+)`", page, re.MULTILINE))
    described = set(server.openapi()["paths"])
    assert described <= named
    # The webhook is Telegram's alone, and only there with a token.
    assert named - described == {"/", "/docs", "/openapi.json", "/static", "/telegram/webhook"}


def test_every_make_target_in_the_pages_exists_and_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    described = set(re.findall(r"^([a-z_-]+):.*## \S", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert phony is not None
    assert described == set(phony[1].replace("\\", "").split())
    for page in _pages():
        for target in re.findall(r"\bmake ([a-z_-]+)", "\n".join(_code(page))):
            assert target in described, f"{page.name} speaks of `make {target}`"


def test_links_between_pages_lead_somewhere() -> None:
    for page in _pages():
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_links_to_a_heading_lead_to_one() -> None:
    for page in _pages():
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
            there = page.parent / target if target else page
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name} links to {target}#{anchor}"


def test_every_page_of_the_manual_is_on_its_first_page() -> None:
    first = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in first, page.name


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\((\d{4}[^)]+\.md)\)", (folder / "README.md").read_text()))
    assert listed == {page.name for page in folder.glob("0*.md")}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_have_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(
        r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host|-e)\b", text, re.M
    )
    assert not re.search(r"^[^#\n]*@", text, re.M), "a direct reference has an address"
    assert text.splitlines()[1].strip() == "#    make lock"
    pins = re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)[1:]
    assert pins
    for pin in pins:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+", pin), pin.splitlines()[0]
        assert "--hash=sha256:" in pin, f"{pin.splitlines()[0]} has no hash"


def _locked(lock: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, version in re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", (ROOT / "requirements" / lock).read_text(), re.M
    ):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def test_the_locks_are_those_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = [Requirement(line) for line in project["dependencies"]]
    extras = [
        Requirement(line) for lines in project["optional-dependencies"].values() for line in lines
    ]
    for lock, requirements in {"serve.lock": base, "dev.lock": base + extras}.items():
        locked = _locked(lock)
        for requirement in requirements:
            versions = locked.get(canonicalize_name(requirement.name), [])
            assert versions, f"{requirement} is not in {lock}: run `make lock`"
            assert all(requirement.specifier.contains(v, prereleases=True) for v in versions), (
                f"{requirement} does not fit {versions} in {lock}: run `make lock`"
            )


def test_one_lock_is_for_every_platform_and_python() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    command = re.search(r"^COMPILE = (.*)", makefile, re.MULTILINE)
    assert command is not None
    words = command[1].split()
    assert {"--universal", "--generate-hashes"} <= set(words)
    python = words[words.index("--python-version") + 1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert python in Requirement(f"x{project['requires-python']}").specifier
    assert project["requires-python"].startswith(f">={python},")
    # What only another platform needs is there with its condition.
    assert "sys_platform == 'win32'" in (ROOT / "requirements" / "serve.lock").read_text()


def test_the_set_up_compiles_what_it_installs() -> None:
    # Else whoever starts something first waits for the compiler.
    script = (ROOT / "scripts" / "setup.sh").read_text()
    sync = re.search(r'^"\$uv" pip sync ([^\n|]*)', script, re.MULTILINE)
    assert sync is not None
    assert {"--compile-bytecode", "--require-hashes"} <= set(sync[1].split())


def test_what_serves_is_locked_without_what_trains() -> None:
    heavy = {
        "torch",
        "lightning",
        "timm",
        "mlflow",
        "pandas",
        "pyarrow",
        "scikit-learn",
        "openvino",
    }
    assert not heavy & set(_locked("serve.lock"))


def test_serving_and_development_use_the_same_versions() -> None:
    development = _locked("dev.lock")
    for name, versions in _locked("serve.lock").items():
        assert development.get(name) == versions, f"{name}: run `make lock`"


def test_no_file_speaks_of_the_machine_it_was_written_on() -> None:
    private = re.compile(
        r"(?<![\w.])/(?:root|work|Users|home/\w+)/|python" + r"hosted\.org|pypi\.org/" + r"simple"
    )
    for name in _files():
        text = (ROOT / name).read_bytes()
        if b"\x00" in text[:1024]:
            continue
        found = private.search(text.decode(errors="replace"))
        assert found is None, f"{name} holds {found and found[0]!r}"


def test_no_photo_weight_or_large_file_is_in_the_repository() -> None:
    for name in _files():
        size = (ROOT / name).stat().st_size
        assert size < 1_000_000, f"{name} has {size} bytes"
        assert not name.endswith((".pth", ".onnx", ".ckpt", ".safetensors", ".npy", ".db")), name
        if name.endswith((".jpg", ".jpeg", ".png", ".webp")):
            assert name.startswith("docs/images/"), f"{name}: pictures are drawn or read elsewhere"


@pytest.mark.parametrize(
    "script",
    ["scripts/setup.sh", "scripts/find_python.sh", "scripts/install_debian_packages.sh", ".ci/run"],
)
def test_scripts_can_be_executed_and_parse(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
