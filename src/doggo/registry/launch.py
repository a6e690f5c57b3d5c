"""May a server start for the model of this name? A pure question about names and production.

Owns what `launch` promises: production is a version of the model that was asked for, now. It moves
nothing. Once it runs the server follows the production pointer as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from doggo.core.errors import InputError
from doggo.registry.card import VersionRow


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What will be served.

    Attributes:
        newer: the newest version of that model, if it is not the one in production.
    """

    version: int
    name: str
    newer: int | None = None

    def to_text(self) -> str:
        """Return the line for whoever launches it."""
        text = f"launching {self.name} version {self.version}, in production"
        if self.newer is not None:
            text += (
                f"; version {self.newer} is newer and is not: `doggo models promote {self.newer}`"
            )
        return text


def check_launch(asked: str, versions: Sequence[VersionRow]) -> Launch:
    """Return the production version if it is of the model `asked`.

    Args:
        asked: a model's name, or how names of its family start (`resnet` for `resnet18`).
        versions: all versions of the registry.

    Raises:
        InputError: there is no such model, or production is another one: it says what to do.
    """
    names = sorted({row.name for row in versions if row.name})
    meant = [asked] if asked in names else [name for name in names if name.startswith(asked)]
    if not meant:
        there = f"there are {', '.join(names)}" if names else "there is none yet"
        raise InputError(
            f"there is no model {asked!r} ({there}): `doggo train --model {asked}` makes one, "
            "`doggo bootstrap` one that needs no photos"
        )
    newest = max(row.version for row in versions if row.name in meant)
    production = next((row for row in versions if row.in_production), None)
    if production is None or production.name not in meant:
        now = f"{production.name} version {production.version}" if production else "nothing"
        raise InputError(
            f"{now} is in production, not {asked}: `doggo models promote {newest}` moves it "
            "through the gate, then launch it again"
        )
    newer = newest if newest > production.version else None
    return Launch(version=production.version, name=production.name, newer=newer)
