"""The registry: register a sealed bundle, move `production` through the gate, roll back.

Owns the order of checks, record and pointer. The rule is in `gate.py`, the atomicity in
`storage/bundles.py`.
"""

from __future__ import annotations

import getpass
import logging
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from doggo.core.errors import (
    BundleError,
    GateError,
    InputError,
    NoModelError,
    StorageError,
    UsageError,
)
from doggo.core.os_errors import explain_os_error
from doggo.core.progress import Progress, silent
from doggo.nets.licences import weights_licence
from doggo.registry.card import Card, VersionRow, read_row
from doggo.registry.compare import Dataset, compare
from doggo.registry.gate import Comparison, GateDecision, GateFacts, judge
from doggo.storage.audit import Action, Move, previous_version
from doggo.storage.bundles import BundleStore, Pointer, version_key
from doggo.storage.registered import find_version
from doggo.vision.bundle import PARITY_TOLERANCE, read_bundle
from doggo.vision.pairs import Pair
from doggo.vision.predictor import Predictor
from doggo.vision.runtime import Opener, open_session

logger = logging.getLogger(__name__)


def register(
    store: BundleStore,
    folder: Path,
    *,
    metrics: Mapping[str, float],
    report: str | None = None,
) -> int:
    """Add a sealed bundle to the store and return its version; production does not move.

    The same bundle again keeps its version.

    Raises:
        BundleError: the bundle is incomplete or was altered.
        StorageError: the store cannot be written.
    """
    bundle = read_bundle(folder)
    card = Card(
        name=bundle.name,
        metrics=metrics,
        weights_licence=weights_licence(bundle.backbone),
        report=report,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    version = store.add(folder, card.to_json())
    logger.info("version_registered version=%d name=%s", version, bundle.name)
    return version


def promote(
    store: BundleStore,
    version: int,
    *,
    dataset: Dataset | None = None,
    why: str,
    actor: str = "",
    action: Action = Action.PROMOTE,
    accept_labels: bool = False,
    force: str | None = None,
    pair: Pair | None = None,
    open_network: Opener = open_session,
    progress: Progress = silent,
) -> GateDecision:
    """Move `production` to a version if the gate allows it; return what the gate said.

    No other promotion can come between the comparison and the move. A version that is in
    production already is left there; if the audit is broken, a record goes on with it.

    Args:
        dataset: current manifest and pixels; None: nothing can be compared.
        why: recorded in the audit, with `force` if it was needed.
        actor: who asks; empty: the user of this process.
        pair: run on this one; None: what the bundle chooses.
        open_network: loads a network, or knows it already.

    Raises:
        GateError: the gate refuses; its `reasons` say why. Production is what it was.
        UsageError: there is no such version.
    """
    if force is not None and not force.strip():
        raise UsageError("--force needs a reason: it is recorded in the audit")
    with store.exclusive():
        folder, pointer = store.folder(version), store.production()
        if pointer is not None and pointer.version == version:
            return _already(store, version, why, actor, pair, open_network)
        comparison = None
        problems = absolute_problems(folder, pair, open_network)
        if pointer is not None and not problems:
            comparison = _compare(store, folder, pointer, dataset, pair, open_network, progress)
        decision = judge(
            GateFacts(
                version=version,
                problems=problems,
                comparison=comparison,
                accept_labels=accept_labels,
                force=force,
            )
        )
        if not decision.allowed:
            reasons = "; ".join(decision.reasons)
            raise GateError(f"version {version} was not promoted: {reasons}", decision.reasons)
        store.move(
            version,
            why=f"{why}; forced: {force}" if decision.forced else why,
            actor=actor or current_user(),
            action=action,
            forced=decision.forced,
        )
    logger.info("production_moved version=%d forced=%s", version, decision.forced)
    return replace(decision, moved=True)


def rollback(store: BundleStore, *, why: str, actor: str = "") -> Move:
    """Put the version back that was in production before this one; may be repeated.

    Raises:
        NoModelError: nothing is in production.
        GateError: there is no earlier version, or it fails its absolute checks.
    """
    with store.exclusive():
        pointer, history = store.production(), store.history()
        if pointer is None:
            raise NoModelError("nothing is in production, so there is nothing to roll back")
        version = previous_version(history.moves)
        if version is None:
            history.whole()  # raises where the version before this one is not proven
            begun_anew = any(move.broken for move in history.moves)
            so_far = ", as far as the audit proves it" if begun_anew else ""
            raise GateError(
                f"version {pointer.version} is the first that was in production{so_far}: there is "
                "none to roll back to"
            )
        problems = absolute_problems(store.folder(version))
        if problems:
            reasons = "; ".join(problems)
            raise GateError(f"version {version} cannot be put back: {reasons}", problems)
        return store.move(version, why=why, actor=actor or current_user(), action=Action.ROLLBACK)


def absolute_problems(
    folder: Path, pair: Pair | None = None, open_network: Opener = open_session
) -> tuple[str, ...]:
    """Return what the hashes, the sealed parity and a smoke test say against a bundle."""
    try:
        predictor = Predictor.load(folder, pair=pair, open_network=open_network)
        predictor.smoke_test()
    except BundleError as error:
        return (str(error),)
    parity = predictor.bundle.parity
    if parity.max_difference > PARITY_TOLERANCE:
        return (
            f"its exported files differ from the trained network by {parity.max_difference:.2g}, "
            f"allowed are {PARITY_TOLERANCE:g}: export it again",
        )
    return ()


def describe_all(store: BundleStore) -> list[VersionRow]:
    """Return every version as `doggo models list` shows it, oldest first."""
    moves = store.history().moves
    return [read_row(store, version, moves) for version in store.versions()]


def describe(store: BundleStore, version: int) -> VersionRow:
    """Return one version as `doggo models show` shows it.

    Raises:
        UsageError: there is no such version.
    """
    return read_row(store, version, store.history().moves)


def export_bundle(store: BundleStore, version: int | None, folder: Path) -> Path:
    """Copy a verified bundle out of the store and return `folder`.

    Args:
        version: None for the one in production.
        folder: must not exist; it appears only once the copy is whole.

    Raises:
        NoModelError: nothing is in production and no version was given.
        BundleError: the stored bundle was altered, or is not the one that production promises.
        InputError: `folder` is already there.
    """
    which = find_version(store, version)
    if folder.exists():
        raise InputError(f"{folder} is already there: give a folder that does not exist yet")
    source = store.folder(which.version)
    staged = folder.parent / f".tmp-{folder.name}-{secrets.token_hex(4)}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, staged)
        read_bundle(staged, expect_sha256=which.sha256)
        staged.rename(folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {explain_os_error(error)}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder


def current_user() -> str:
    """Return the name of the user of this process, for the audit."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return "unknown"


def _already(
    store: BundleStore,
    version: int,
    why: str,
    actor: str,
    pair: Pair | None,
    open_network: Opener,
) -> GateDecision:
    """Leave a version in production; go on with the audit if that is broken."""
    decision = GateDecision(
        version=version,
        champion=version,
        allowed=True,
        forced=False,
        reasons=(),
        notes=("it already is in production",),
    )
    broken = store.history().broken
    if broken is None:
        return decision
    if problems := absolute_problems(store.folder(version), pair, open_network):
        reasons = "; ".join(problems)
        raise GateError(f"version {version} was not promoted: {reasons}", problems)
    store.move(version, why=why, actor=actor or current_user())
    logger.warning("audit_begun_anew version=%d broken=%s", version, broken)
    mended = f"the audit was broken ({broken}): it begins anew with a record that says so"
    return replace(decision, moved=True, notes=(*decision.notes, mended))


def _compare(
    store: BundleStore,
    folder: Path,
    pointer: Pointer,
    dataset: Dataset | None,
    pair: Pair | None,
    open_network: Opener,
    progress: Progress,
) -> Comparison:
    # A champion that was deleted by hand must not stand in the way of --force.
    there = pointer.version in store.versions()
    gone = store.bucket.root / version_key(pointer.version)
    champion = store.folder(pointer.version) if there else gone
    return compare(
        folder,
        champion,
        pointer.version,
        dataset,
        pair=pair,
        open_network=open_network,
        progress=progress,
    )
