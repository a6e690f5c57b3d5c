"""What a command says while it works."""

from __future__ import annotations

import pytest

from doggo.apps.cli.output import progress_bars, time_left


@pytest.mark.parametrize(
    ("done", "now_s", "said"),
    [
        (29, 19.0, ""),  # nineteen steps of this process
        (30, 20.0, ", at most about 70 s left"),
        (40, 300.0, ", at most about 10 min left"),
        (100, 300.0, ""),
    ],
)
def test_the_time_left_is_told_after_twenty_steps(done: int, now_s: float, said: str) -> None:
    assert time_left(0.0, 10, now_s, done, 100) == said


def test_a_log_has_the_first_and_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as progress:
        for done in range(1, 41):
            progress("train", done, 40)
    assert capsys.readouterr().err.splitlines() == ["train: 1 of 40", "train: 40 of 40"]
