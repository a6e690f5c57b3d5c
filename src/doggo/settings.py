"""Endpoints, names and secrets, read once per process from the environment and `.env`."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _either(name: str, seed_name: str) -> AliasChoices:
    return AliasChoices(f"DOGGO_{name}", seed_name)


class Settings(BaseSettings):
    """What an installation is connected to. Empty bucket names mean: a folder under `home`."""

    model_config = SettingsConfigDict(
        env_prefix="DOGGO_", env_file=".env", extra="ignore", populate_by_name=True
    )

    home: Path = Path("doggo-data")
    """Everything doggo keeps: buckets, database, tracker, caches."""

    raw_bucket: str = Field("", validation_alias=_either("RAW_BUCKET", "RAW_IMAGES_BUCKET_NAME"))
    processed_bucket: str = Field(
        "", validation_alias=_either("PROCESSED_BUCKET", "PROCESSED_IMAGES_BUCKET_NAME")
    )
    new_raw_bucket: str = Field(
        "", validation_alias=_either("NEW_RAW_BUCKET", "NEW_RAW_IMAGES_BUCKET_NAME")
    )
    new_processed_bucket: str = Field(
        "", validation_alias=_either("NEW_PROCESSED_BUCKET", "NEW_PROCESSED_IMAGES_BUCKET_NAME")
    )
    bundle_bucket: str = ""
    """Where sealed bundles and the production pointer live."""

    tracker: str = ""
    """URL of an MLflow server; empty: SQLite under `home`."""

    workers: int = Field(0, ge=0)
    """Decoding processes; 0: one a core."""

    runtime: str = ""
    """Force `onnxruntime-f32`, `openvino-f32` or `openvino-bf16`; empty: the fastest allowed."""

    weights: Path | None = None
    """Folder of downloaded ImageNet weights, looked into before a hub is asked."""

    queue_size: int = Field(64, ge=1)
    """Photos that may wait in the server before it answers 429."""

    public: str = ""
    """Paths, separated by commas, that may be reached from outside this machine (through a
    proxy or tunnel, or on another address than loopback); `/healthz` always may."""

    api_key: SecretStr | None = None
    """What a request from outside must carry to reach a path in `public`."""

    public_per_minute: int = Field(120, ge=1)
    """Requests a minute that all of the outside together may make."""

    tele_api_key: SecretStr | None = Field(
        None, validation_alias=_either("TELE_API_KEY", "TELE_API_KEY")
    )

    @field_validator("weights", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("home", "weights")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    def bucket_url(self, name: str) -> str:
        """Return the URL of `raw`, `processed`, `new_raw`, `new_processed` or `bundle`."""
        configured = str(getattr(self, f"{name}_bucket"))
        if configured:
            return configured if "://" in configured else Path(configured).absolute().as_uri()
        folder = "bundles" if name == "bundle" else name.replace("_", "-")
        return (self.home / "buckets" / folder).as_uri()
