"""What the flow hands back, as a person reads it."""

from __future__ import annotations

from doggo.intake.report import Finding, IntakeReport
from doggo.results import intake_text


def test_what_was_ignored_is_listed_with_its_reason() -> None:
    report = IntakeReport(
        ignored=[
            Finding("photos/boxer", None, detail="an empty folder"),
            Finding("photos/pug/pipe", None, detail="not a regular file"),
        ]
    )
    lines = intake_text(report).splitlines()
    assert "  ignored: photos/boxer: an empty folder" in lines
    assert "  ignored: photos/pug/pipe: not a regular file" in lines


def test_a_long_list_is_cut_and_says_where_all_of_it_is() -> None:
    many = [Finding(f"photos/{n}/a.txt", None, detail="not a picture") for n in range(13)]
    lines = [line for line in intake_text(IntakeReport(ignored=many)).splitlines() if ": " in line]
    assert len(lines) == 11
    assert lines[-1] == "  ignored: and 3 more: --json has them all"


def test_many_files_of_one_folder_with_one_reason_share_a_line() -> None:
    train = [
        Finding(f"kaggle/train/{n}.jpg", None, "no_label", "the folder train names no breed")
        for n in range(30)
    ]
    torn = Finding("pug/torn.jpg", "pug", "truncated", "it ends too early")
    lines = intake_text(IntakeReport(quarantined=[*train, torn])).splitlines()
    assert lines[-2:] == [
        "  quarantined: 30 files in kaggle/train (0.jpg, 1.jpg, 2.jpg, ...): "
        "the folder train names no breed",
        "  quarantined: pug/torn.jpg: it ends too early",
    ]
