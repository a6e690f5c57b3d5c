"""The audit is a chain that nobody can rewrite unseen; a rollback walks back along it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.errors import StorageError
from doggo.storage.audit import Action, Audit, Move, previous_version
from doggo.storage.buckets import Bucket


def append(audit: Audit, version: int, previous: int | None) -> Move:
    return audit.append(
        actor="someone",
        action=Action.PROMOTE,
        from_version=None,
        to_version=version,
        sha256="ab" * 32,
        why="a test",
        forced=False,
        previous_move=previous,
    )


def test_each_record_names_the_one_before_it(tmp_path: Path) -> None:
    audit = Audit(Bucket(tmp_path))
    first = append(audit, 1, None)
    left_out = append(audit, 2, first.seq)
    last = append(audit, 3, first.seq)
    assert (first.seq, left_out.seq, last.seq) == (1, 2, 3)
    assert audit.history(last.seq).whole() == (first, last)
    assert audit.history(left_out.seq).whole() == (first, left_out)


def test_writers_without_a_lock_never_share_a_number(tmp_path: Path) -> None:
    made: list[Move] = []

    def write(version: int) -> None:
        made.append(append(Audit(Bucket(tmp_path)), version, None))

    threads = [threading.Thread(target=write, args=(version,)) for version in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(move.seq for move in made) == list(range(1, 13))
    for move in made:
        assert Audit(Bucket(tmp_path)).history(move.seq).whole() == (move,)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"seq": 1}'])
def test_a_damaged_record_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    audit = Audit(Bucket(tmp_path))
    move = append(audit, 1, None)
    audit.bucket.write("audit/000001.json", data)
    with pytest.raises(StorageError, match=r"000001\.json is damaged or was altered"):
        audit.history(move.seq).whole()


def moves_of(steps: list[int]) -> list[Move]:
    """Return the audit of steps: a version to promote, or 0 to roll back where that is possible."""
    moves: list[Move] = []
    for step in steps:
        target = step or previous_version(moves)
        if target is None:
            continue
        moves.append(
            Move(
                seq=len(moves) + 1,
                at="",
                actor="",
                action=Action.PROMOTE if step else Action.ROLLBACK,
                from_version=moves[-1].to_version if moves else None,
                to_version=target,
                sha256="",
                why="",
                forced=False,
                previous_move=None,
                previous_sha256=None,
            )
        )
    return moves


@pytest.mark.parametrize(
    ("steps", "previous"),
    [
        ([], None),
        ([1], None),
        ([1, 2], 1),
        ([1, 2, 3, 0], 1),
        ([1, 2, 3, 0, 0], None),
        ([1, 2, 0, 3], 1),
        ([1, 2, 1], 2),
    ],
)
def test_a_rollback_goes_to_what_was_in_production_before(
    steps: list[int], previous: int | None
) -> None:
    assert previous_version(moves_of(steps)) == previous


def test_where_the_beginning_is_not_proven_a_rollback_goes_back_to_its_start() -> None:
    _, *proven = moves_of([1, 2, 3])
    assert previous_version(proven) == 2
    assert previous_version(proven[:1]) == 1
    only_mended = replace(proven[0], from_version=2)
    rolled_back = replace(proven[0], from_version=3, action=Action.ROLLBACK)
    for begun_anew in (only_mended, rolled_back):
        assert previous_version([begun_anew]) is None


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_promotion_and_its_rollback_change_nothing(steps: list[int]) -> None:
    moves = moves_of(steps)
    if moves:
        assert moves_of([*steps, 9, 0])[-1].to_version == moves[-1].to_version
        assert previous_version(moves_of([*steps, 9, 0])) == previous_version(moves)
