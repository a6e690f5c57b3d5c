"""What the tracker's registry should show, and what a person asked for in its pages.

Pure: facts in, decisions out. Owns the meaning of `production`, `staging` and archived there.
Knows neither a tracker nor a bundle store. Versions are numbers of the bundle store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from doggo.storage.audit import Move
from doggo.tracking.port import RegisteredModel, TrackedVersion

PRODUCTION, STAGING = "production", "staging"

Shown = Mapping[str, RegisteredModel]
"""What the tracker shows now, by the model's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What the tracker should show.

    Attributes:
        versions: oldest first.
        production: what the pointer names.
        staging: the newest that never was in production.
    """

    versions: tuple[TrackedVersion, ...]
    production: int | None
    staging: int | None

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models, sorted."""
        return tuple(sorted({version.model for version in self.versions}))

    def aliases(self, model: str) -> dict[str, int | None]:
        """Return alias → the version that it should name on this model, None for none."""
        own = {version.version for version in self.versions if version.model == model}
        places = {PRODUCTION: self.production, STAGING: self.staging}
        return {alias: place if place in own else None for alias, place in places.items()}


@dataclass(frozen=True, slots=True)
class Request:
    """A person moved `production` of a model to a version."""

    model: str
    version: int


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias that shows something else than it should, or that doggo has not marked as its own.

    Attributes:
        from_version, to_version: None for nothing.
    """

    model: str
    alias: str
    from_version: int | None
    to_version: int | None

    def to_text(self) -> str:
        """Return one line for a person."""
        before, after = (
            "nothing" if version is None else f"version {version}"
            for version in (self.from_version, self.to_version)
        )
        return f"{self.model}: the alias {self.alias} named {before}, and again names {after}"


@dataclass(frozen=True, slots=True)
class Changes:
    """What the tracker has to be told; false if it shows what it should."""

    versions: tuple[TrackedVersion, ...]
    aliases: tuple[AliasMove, ...]

    def __bool__(self) -> bool:
        return bool(self.versions or self.aliases)


def target(
    versions: Sequence[TrackedVersion], moves: Sequence[Move], production: int | None
) -> Target:
    """Return what the tracker should show.

    Args:
        versions: all that can be shown, oldest first.
        moves: of the production pointer, oldest first, as far as they are proven.
        production: what it names.
    """
    been = {production, *(v for move in moves for v in (move.from_version, move.to_version))}
    return Target(
        versions=tuple(
            replace(known, archived=known.version in been and known.version != production)
            for known in versions
        ),
        production=production,
        staging=max((v.version for v in versions if v.version not in been), default=None),
    )


def requests(wanted: Target, shown: Shown) -> list[Request]:
    """Return what people asked for: `production` is neither right nor where doggo left it.

    An alias that doggo never marked says nothing about who moved it, and is no request.
    """
    found: list[Request] = []
    for model in wanted.models:
        there = shown[model].aliases.get(PRODUCTION)
        left = shown[model].left.get(PRODUCTION)
        if there is None or left is None or there in left or there == wanted.production:
            continue
        found.append(Request(model, there))
    return found


def changes(wanted: Target, shown: Shown) -> Changes:
    """Return what has to change for the tracker to show what it should."""
    return Changes(
        versions=tuple(
            version
            for version in wanted.versions
            if not _is_shown(version, shown[version.model].versions.get(version.version))
        ),
        aliases=tuple(
            AliasMove(model, alias, shown[model].aliases.get(alias), right)
            for model in wanted.models
            for alias, right in wanted.aliases(model).items()
            if not _is_left(shown[model], alias, right)
        ),
    )


def _is_shown(version: TrackedVersion, there: TrackedVersion | None) -> bool:
    return (
        there is not None
        and (there.uri, there.archived) == (version.uri, version.archived)
        and version.tags.items() <= there.tags.items()
    )


def _is_left(there: RegisteredModel, alias: str, right: int | None) -> bool:
    marked = there.left.get(alias)
    return there.aliases.get(alias) == right and marked == ({right} - {None})
