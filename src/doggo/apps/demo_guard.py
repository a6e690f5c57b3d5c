"""The demo replaces no model of the owner's own: which one it made is noted in the home.

Owns `demo.json`. A new home may be connected to a bundle store that has long been in use.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.core.errors import UsageError

if TYPE_CHECKING:
    from doggo.settings import Settings
    from doggo.storage.bundles import Pointer


def protect(settings: Settings, *, force: bool) -> None:
    """Return if the demo may put its model into production.

    Args:
        force: whoever started it said that it may.

    Raises:
        UsageError: a model that the demo did not make is there.
    """
    bundles, home = settings.bucket_url("bundle"), settings.home
    if force or (not home.exists() and bundles.startswith(home.as_uri() + "/")):
        return
    pointer = _production()
    if pointer is not None and pointer.sha256 not in _made_by_demo(home):
        raise UsageError(
            f"version {pointer.version} in {bundles} is in production and was not made by the "
            f"demo in {home}: add FORCE=1 to let the demo replace it, or set DOGGO_HOME (and "
            "DOGGO_BUNDLE_BUCKET, if you set it) to another folder"
        )


def _production() -> Pointer | None:
    from doggo import wiring

    return wiring.open_bundles().production()


def remember(home: Path) -> None:
    """Note that what is in production now was made by the demo: the next may replace it."""
    pointer = _production()
    assert pointer is not None
    made = sorted({*_made_by_demo(home), pointer.sha256})
    (home / "demo.json").write_text(json.dumps({"sha256": made}))


def _made_by_demo(home: Path) -> list[str]:
    """Return the sha256 of bundles: another bundle store counts its versions anew."""
    file = home / "demo.json"
    return list(json.loads(file.read_text()).get("sha256", [])) if file.is_file() else []
