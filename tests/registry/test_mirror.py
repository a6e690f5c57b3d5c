"""What the tracker should show, and which alias is a person's wish: facts in, decisions out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doggo.registry.mirror import Target, changes, requests, target
from doggo.storage.audit import Action, Move
from doggo.tracking.port import RegisteredModel, TrackedVersion


def version(number: int, model: str = "colour", **tags: str) -> TrackedVersion:
    return TrackedVersion(model=model, version=number, uri=f"v{number}", run_id=None, tags=tags)


def moves(*to_versions: int) -> list[Move]:
    return [
        Move(
            seq=seq, at="", actor="", action=Action.PROMOTE, from_version=None, to_version=number,
            sha256="", why="", forced=False, previous_move=None, previous_sha256=None,
        )
        for seq, number in enumerate(to_versions, 1)
    ]  # fmt: skip


def right(wanted: Target) -> dict[str, RegisteredModel]:
    """What the tracker shows once it was told everything."""
    found = {}
    for model in wanted.models:
        aliases = wanted.aliases(model)
        found[model] = RegisteredModel(
            versions={v.version: v for v in wanted.versions if v.model == model},
            aliases={alias: place for alias, place in aliases.items() if place is not None},
            left={alias: {place} - {None} for alias, place in aliases.items()},
        )
    return found


@pytest.mark.parametrize(
    ("moved", "production", "staging", "archived"),
    [
        ((), None, 3, []),
        ((1,), 1, 3, []),
        ((1, 3), 3, 2, [1]),
        ((1, 2, 3), 3, None, [1, 2]),
        ((1, 2, 3, 2), 2, None, [1, 3]),  # rolled back: 2 is no longer archived, 3 is
    ],
)
def test_the_pointers_moves_say_what_each_version_is(
    moved: tuple[int, ...], production: int | None, staging: int | None, archived: list[int]
) -> None:
    wanted = target(
        [version(1), version(2), version(3)], moves(*moved), moved[-1] if moved else None
    )
    assert (wanted.production, wanted.staging) == (production, staging)
    assert [v.version for v in wanted.versions if v.archived] == archived


def test_where_no_move_is_proven_production_is_what_the_pointer_names() -> None:
    wanted = target([version(1), version(2)], [], 2)
    assert (wanted.production, wanted.staging) == (2, 1)
    assert not any(v.archived for v in wanted.versions)


def test_an_alias_stands_on_one_model_only() -> None:
    wanted = target([version(1, "old"), version(2, "new"), version(3, "old")], moves(1, 2), 2)
    assert wanted.models == ("new", "old")
    assert wanted.aliases("new") == {"production": 2, "staging": None}
    assert wanted.aliases("old") == {"production": None, "staging": 3}


@pytest.mark.parametrize(
    ("alias", "left", "asked"),
    [
        (3, {2}, [3]),
        (3, set(), [3]),  # doggo left none here
        (2, {2}, []),
        (1, {1}, []),  # it stayed behind: the tracker missed a move
        (1, {1, 2}, []),  # and so does one whose move was cut short
        (3, {1, 2}, [3]),
        (2, {1}, []),  # right already, whoever moved it
        (3, None, []),  # never marked: nobody knows who moved it
        (None, {2}, []),  # removed: put back, not asked for
    ],
)
def test_only_an_alias_that_doggo_did_not_leave_there_is_asked_for(
    alias: int | None, left: set[int] | None, asked: list[int]
) -> None:
    wanted = target([version(1), version(2), version(3)], moves(1, 2), 2)
    shown = RegisteredModel(
        aliases={"staging": 1} | ({} if alias is None else {"production": alias}),
        left={} if left is None else {"production": left},
    )
    found = requests(wanted, {"colour": shown})
    assert [(request.model, request.version) for request in found] == [("colour", n) for n in asked]


def test_what_is_shown_already_is_not_told_again() -> None:
    wanted = target([version(1, "old", sha256="a"), version(2, "new")], moves(1, 2), 2)
    shown = right(wanted)
    assert not changes(wanted, shown)
    shown["old"] = replace(
        shown["old"], versions={1: replace(wanted.versions[0], tags={"sha256": "a", "own": "x"})}
    )
    assert not changes(wanted, shown)  # a person's own tags are theirs


@pytest.mark.parametrize(
    "shown",
    [
        RegisteredModel(),
        RegisteredModel(versions={1: version(1), 2: version(2)}),  # not archived yet
        RegisteredModel(versions={1: replace(version(1), archived=True), 2: version(2, x="y")}),
    ],
)
def test_what_differs_is_told(shown: RegisteredModel) -> None:
    wanted = target([version(1), version(2, sha256="b")], moves(1, 2), 2)
    told = changes(wanted, {"colour": shown})
    assert 2 in {v.version for v in told.versions} or told.versions[0].archived
    assert [(move.alias, move.to_version) for move in told.aliases] == [
        ("production", 2), ("staging", None),
    ]  # fmt: skip


def test_a_move_that_was_cut_short_is_told_again() -> None:
    wanted = target([version(1), version(2)], moves(1, 2), 2)
    shown = right(wanted)
    shown["colour"] = replace(shown["colour"], left={"production": {1, 2}, "staging": set()})
    (move,) = changes(wanted, shown).aliases
    assert (move.alias, move.from_version, move.to_version) == ("production", 2, 2)
