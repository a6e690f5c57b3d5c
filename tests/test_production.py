"""What is said of a version that was in production once."""

from __future__ import annotations

from doggo.production import why_out
from doggo.storage.audit import Action, Move

NUMBERS = ((Action.PROMOTE, None, 1), (Action.PROMOTE, 1, 2), (Action.ROLLBACK, 2, 1))


def moves(*steps: tuple[Action, int | None, int]) -> list[Move]:
    return [
        Move(
            seq=seq,
            at=f"2026-11-0{seq}T10:00:00+00:00",
            actor="ada",
            action=action,
            from_version=before,
            to_version=after,
            sha256="0" * 64,
            why="too slow",
            forced=False,
            previous_move=seq - 1 or None,
            previous_sha256=None,
        )
        for seq, (action, before, after) in enumerate(steps, start=1)
    ]


def test_one_that_was_rolled_back_says_by_whom_and_what_puts_it_back() -> None:
    [said] = why_out(2, moves(*NUMBERS))
    assert said == (
        "it was rolled back by ada at 2026-11-03T10:00:00+00:00 (too slow); version 1 answers: "
        "`doggo models promote 2` puts this one back"
    )


def test_one_that_another_replaced_says_which() -> None:
    [said] = why_out(1, moves(*NUMBERS[:2]))
    assert said.startswith("version 2 took its place at 2026-11-02T")
    assert "version 2 answers: `doggo models promote 1`" in said


def test_one_in_production_or_never_there_has_nothing_to_explain() -> None:
    assert why_out(1, moves(*NUMBERS)) == ()
    assert why_out(3, moves(*NUMBERS)) == ()
    assert why_out(1, []) == ()
