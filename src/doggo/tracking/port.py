"""The tracker port: what training and the registry tell whoever keeps their history.

Owns the protocols and the records that cross them. A tracker is a mirror: the production
pointer of the bundle store is the truth, and no model is lost when a tracker fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

EXPERIMENT = "experiment"
TRAINING = "training"
PARENT_TAG = "doggo.parent_run"
"""Tag of a run that belongs to another: its value is the other's `run_id`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure at a step (an epoch, from 0)."""

    name: str
    value: float
    step: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedVersion:
    """A version of the bundle store, as the tracker's registry shows it.

    Attributes:
        model: name of the registered model.
        version: number in the bundle store; the tracker's own number may differ.
        uri: where the bundle lies.
        run_id: of the run that made it, if there is one.
        tags: words to show beside it, such as its sha256 and top-1.
        archived: it was in production and is not any more.
    """

    model: str
    version: int
    uri: str
    run_id: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    archived: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredModel:
    """A model as the tracker's registry shows it now; versions are those of the bundle store.

    Attributes:
        versions: what is shown of each; of `tags`, also those that somebody else set.
        aliases: alias → the version that it names.
        left: alias → where doggo itself left it; two places while, or since, a move was cut
            short; an alias that doggo never moved here is not in it.
    """

    versions: Mapping[int, TrackedVersion] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, Set[int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRun:
    """A run that ended well, as the tracker remembers it.

    Attributes:
        metrics: every figure of every step, by name and then step.
    """

    run_id: str | None
    metrics: tuple[Metric, ...]


class Run(Protocol):
    """One run that is under way.

    Every method raises StorageError with one clear line when the tracker fails.
    """

    @property
    def run_id(self) -> str | None:
        """The tracker's id, or None if nothing is kept."""
        ...

    def log_params(self, params: Mapping[str, str]) -> None:
        """Keep the resolved configuration; a name can be set once."""
        ...

    def log_metrics(self, metrics: Sequence[Metric]) -> None:
        """Keep figures, in one request however many they are."""
        ...

    def log_file(self, file: Path, folder: str = "") -> None:
        """Keep a copy of a file under `folder`."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set words about the run; a tag can be set again."""
        ...


class Tracker(Protocol):
    """A keeper of runs, and of a mirror of the registry.

    Every method raises StorageError with one clear line when the tracker fails.
    """

    def prepare(self) -> None:
        """Do the slow set-up now (imports, a fresh database); safe in a background thread."""
        ...

    def start(
        self, experiment: str, name: str, tags: Mapping[str, str]
    ) -> AbstractContextManager[Run]:
        """Open a run; leaving the block ends it, as failed or killed if by an exception."""
        ...

    def mirror_version(self, version: TrackedVersion) -> None:
        """Show a version of the bundle store; telling it twice changes nothing but tags."""
        ...

    def move_alias(self, model: str, alias: str, version: int | None) -> None:
        """Point an alias at a mirrored version of the bundle store; None removes it.

        Where it was left is kept beside it, so that a move by anybody else can be told.
        """
        ...

    def registered(self, model: str) -> RegisteredModel:
        """Return a model as the tracker's pages show it now; an empty one if there is none."""
        ...


class History(Protocol):
    """What a tracker remembers of runs that are over.

    Every method raises StorageError with one clear line when the tracker fails.
    """

    def finished(self, experiment: str, tag: str, value: str) -> KeptRun | None:
        """Return the newest run that ended well and has this tag, or None."""
        ...

    def move_under(self, run_id: str, parent_id: str) -> None:
        """Show a run that is over among those of another: its `PARENT_TAG` changes."""
        ...


class HistoryTracker(Tracker, History, Protocol):
    """A tracker that also remembers."""
