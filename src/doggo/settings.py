"""Endpoints, names and secrets, read once per process from the environment and `.env`."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_KEYS = ("", "_KEY")


def in_plain_words(said: str) -> str:
    """Return what pydantic says of a value, in words for who wrote the value."""
    what, _, _ = said.partition(", unable to parse")
    return what.removeprefix("Value error, ").replace("Input should be", "it must be")


def _either(name: str, seed_name: str) -> AliasChoices:
    return AliasChoices(f"DOGGO_{name}", seed_name)


class Settings(BaseSettings):
    """What an installation is connected to. Empty bucket names mean: a folder under `home`."""

    model_config = SettingsConfigDict(
        env_prefix="DOGGO_",
        env_file=".env",
        env_file_encoding="utf-8-sig",  # Windows' editors put a mark in front
        extra="ignore",
        populate_by_name=True,
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

    gcssa_raw: SecretStr | None = Field(None, validation_alias=_either("GCSSA_RAW", "GCSSA_RAW"))
    """A Google service account's JSON key in base64; empty: the credentials that are around."""

    cache_gb: int = Field(20, ge=0)
    """Local copies kept of what lies in `gs://` and `s3://` buckets; what is in use is kept too."""

    tracker: str = ""
    """URL of an MLflow server; empty: SQLite under `home`; `none`; or `neptune-offline:FOLDER`."""

    neptune_experiment_project: str = Field(
        "",
        validation_alias=AliasChoices(
            "DOGGO_NEPTUNE_EXPERIMENT_PROJECT",
            *(f"NEPTUNE_{name}_PROJECT{key}" for name in ("EXPERIMENT", "EXP") for key in _KEYS),
        ),
    )
    """Name or key of the Neptune project that held experiments: its runs are shown with ours."""

    neptune_training_project: str = Field(
        "",
        validation_alias=AliasChoices(
            "DOGGO_NEPTUNE_TRAINING_PROJECT",
            *(f"NEPTUNE_TRAINING_PROJECT{key}" for key in _KEYS),
        ),
    )
    """The same for trainings on all photos."""

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
    proxy or tunnel, or on another address than loopback); `/healthz` and the bot's webhook always
    may."""

    api_key: SecretStr | None = None
    """What a request from outside must carry to reach a path in `public`."""

    public_per_minute: int = Field(120, ge=1)
    """Requests a minute that all of the outside together may make."""

    tele_api_key: SecretStr | None = Field(
        None, validation_alias=_either("TELE_API_KEY", "TELE_API_KEY")
    )
    """Token of the Telegram bot, from @BotFather."""

    telegram_url: str = "https://api.telegram.org"
    """The Bot API server: Telegram's, one's own, or a fake one to rehearse with."""

    ngrok_url: str = "http://127.0.0.1:4040"
    """Where the ngrok of this machine tells its tunnels (its `web_addr`)."""

    bot_database: SecretStr | None = None
    """Where updates wait: `postgresql://USER:PASSWORD@HOST/NAME`; empty: SQLite under `home`."""

    bot_in_flight: int = Field(4, ge=1, le=64)
    """Replies on their way to Telegram at once: so many may come twice after a crash."""

    bot_owners: str = ""
    """Telegram ids, separated by commas, of the users who may ask for `/stats`."""

    webhook_secret: SecretStr | None = None
    """What Telegram sends along to the webhook; empty: made once and kept under `home`."""

    person_key: SecretStr | None = None
    """64 hex digits that hide who people are in the database; empty: made once, under `home`."""

    @field_validator("bot_owners")
    @classmethod
    def _numbers(cls, value: str) -> str:
        if not all(part.strip().isdecimal() for part in value.split(",") if part.strip()):
            raise ValueError("it must be numbers separated by commas; @userinfobot tells yours")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _allowed_by_telegram(cls, value: SecretStr | None) -> SecretStr | None:
        secret = value.get_secret_value() if value else ""
        if secret and not re.fullmatch(r"[A-Za-z0-9_-]{16,256}", secret):
            raise ValueError("it must be 16 to 256 of A-Z, a-z, 0-9, _ and -")
        return value

    @field_validator("person_key")
    @classmethod
    def _hex_digits(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value() if value else ""
        if key and not re.fullmatch(r"[0-9a-f]{64}", key):
            raise ValueError("it must be 64 hex digits, as `openssl rand -hex 32` prints them")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_the_default(cls, value: object, info: ValidationInfo) -> object:
        # Not `env_ignore_empty`: an empty variable overrules a line of `.env`.
        if isinstance(value, str) and not value.strip():
            return cls.model_fields[str(info.field_name)].default
        return value

    @field_validator("home", "weights")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @property
    def owners(self) -> frozenset[int]:
        """The Telegram ids of the owners."""
        return frozenset(int(part) for part in self.bot_owners.split(",") if part.strip())

    @property
    def bot_database_url(self) -> str:
        """URL of the bot's database."""
        given = self.bot_database.get_secret_value() if self.bot_database else ""
        return given or f"sqlite:///{self.home / 'bot.db'}"

    @property
    def bucket_cache(self) -> Path:
        """Folder for local copies of what lies in object stores."""
        return self.home / "cache" / "buckets"

    def bucket_url(self, name: str) -> str:
        """Return the URL of one of `core.buckets.BUCKETS`.

        A plain name, as the first doggo's buckets had, is a bucket of Google's where GCSSA_RAW
        says how to sign in there, as it did then; else a folder among the home's buckets.
        """
        configured = str(getattr(self, f"{name}_bucket"))
        if configured and "/" not in configured:
            if self.gcssa_raw is not None and self.gcssa_raw.get_secret_value():
                return f"gs://{configured}"
            return (self.home / "buckets" / configured).as_uri()
        if configured:
            return configured if "://" in configured else Path(configured).absolute().as_uri()
        folder = "bundles" if name == "bundle" else name.replace("_", "-")
        return (self.home / "buckets" / folder).as_uri()
