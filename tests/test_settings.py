"""Where things are, as the environment says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from doggo.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOGGO_HOME", str(tmp_path))
    return tmp_path


def settings() -> Settings:
    return Settings(_env_file=None)  # type: ignore[call-arg]


def test_buckets_lie_under_the_home(home: Path) -> None:
    assert settings().bucket_url("new_raw") == (home / "buckets" / "new-raw").as_uri()


@pytest.mark.parametrize("name", ["raw", "processed", "new_raw", "new_processed"])
def test_the_seeds_bucket_names_are_folders_or_googles_where_its_key_is_set(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"{name.upper()}_IMAGES_BUCKET_NAME"
    monkeypatch.setenv(variable, f"{name}-images")
    assert settings().bucket_url(name) == (home / "buckets" / f"{name}-images").as_uri()
    monkeypatch.setenv(variable, "elsewhere/images")
    assert settings().bucket_url(name) == Path("elsewhere/images").absolute().as_uri()
    monkeypatch.setenv(variable, "gs://images")
    assert settings().bucket_url(name) == "gs://images"
    monkeypatch.setenv(variable, f"{name}-images")
    monkeypatch.setenv("GCSSA_RAW", "a2V5")
    assert settings().bucket_url(name) == f"gs://{name}-images"


def test_an_empty_value_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    defaults = settings()
    for name, field in Settings.model_fields.items():
        aliases = getattr(field.validation_alias, "choices", [f"DOGGO_{name.upper()}"])
        monkeypatch.setenv(str(aliases[0]), " " if name == "home" else "")
    assert settings() == defaults
    assert settings().home == tmp_path / "doggo-data"
    (tmp_path / ".env").write_text("DOGGO_HOME=elsewhere\nDOGGO_CACHE_GB=3\n")
    assert Settings() == defaults  # an empty variable overrules a line of .env


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
def test_a_file_of_settings_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOGGO_HOME", raising=False)
    (tmp_path / ".env").write_text(f"{mark}DOGGO_HOME=hunde-für-alle\n", encoding="utf-8")
    assert Settings().home == tmp_path / "hunde-für-alle"
