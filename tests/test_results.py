"""What the flow hands back, as a person reads it."""

from __future__ import annotations

from dataclasses import replace

from doggo.core.records import Manifest
from doggo.intake.report import Finding, IntakeReport
from doggo.preprocess.diff import diff
from doggo.preprocess.made import LeftOut
from doggo.results import Prepared, Released, RunResult, intake_text


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


def test_many_photos_without_a_file_are_called_photos() -> None:
    detail = "another file of it has another breed"
    told = [Finding(f"{n}" * 8, None, "conflict", detail) for n in range(5)]
    text = intake_text(IntakeReport(withdrawn=told, relabelled=told, ignored=told))
    few = "(00000000, 11111111, 22222222, ...)"
    assert f"  withdrawn: 5 photos {few}: {detail}" in text
    assert f"  relabelled: 5 photos {few}: {detail}" in text
    assert f"  ignored: 5 names {few}: {detail}" in text  # lines of a labels file


def dataset(manifest_id: str) -> Manifest:
    return Manifest(
        manifest_id=manifest_id, short_side_px=256, decoder="d", step="none", seed=42, rows=()
    )


def finished(old: str, new: str, **options: object) -> RunResult:
    released = Released(
        version=1,
        name="doggo",
        promoted=True,
        decision=(),
        scored=None,
        timings=(),
        already=old == new,
    )
    return RunResult(
        intake={},
        intake_text="intake",
        prepared=Prepared(manifest=dataset(new), change=diff(dataset(old), dataset(new))),
        released=released,
        timings=(),
        **options,
    )


def test_a_run_tells_how_the_dataset_changed() -> None:
    done = finished("a" * 16, "b" * 16)
    assert "  the same photos\nversion 1 (doggo)" in done.to_text()


def test_a_run_that_changed_nothing_says_so_in_one_line() -> None:
    done = finished("a" * 16, "a" * 16, is_repeat=True)
    assert done.to_text() == ("intake; version 1 (doggo) was made from them and is in production")
    news = finished("a" * 16, "a" * 16)  # such as a newly quarantined file
    assert ": the same photos as before\nversion 1 (doggo)" in news.to_text()


def left_out(number: int) -> LeftOut:
    uri = f"gs://dogs/pug/{number}.jpg"
    return LeftOut(photo_id=f"{number}", raw_uri=uri, reason="too_slow", detail="too slow")


def test_photos_left_out_are_told_with_their_reason() -> None:
    few = Prepared(manifest=dataset("a" * 16), change=None, left_out=(left_out(1),))
    assert few.to_text().splitlines()[1:] == [
        "  left out this time: 1; they stay in use",
        "  left out: gs://dogs/pug/1.jpg: too slow",
    ]
    assert few.to_json()["left_out"] == [
        {
            "photo_id": "1",
            "raw_uri": "gs://dogs/pug/1.jpg",
            "reason": "too_slow",
            "detail": "too slow",
        }
    ]
    many = Prepared(
        manifest=dataset("a" * 16), change=None, left_out=tuple(left_out(n) for n in range(30))
    )
    assert many.to_text().splitlines()[1:] == [
        "  left out this time: 30; they stay in use",
        "  left out: 30 files in gs://dogs/pug (0.jpg, 1.jpg, 2.jpg, ...): too slow",
    ]


def test_a_run_that_left_photos_out_says_so_even_if_nothing_else_is_new() -> None:
    done = finished("a" * 16, "a" * 16, is_repeat=True)
    done = replace(done, prepared=replace(done.prepared, left_out=(left_out(1),)))
    assert "left out this time: 1" in done.to_text()
    assert done.to_json()["left_out"] == done.prepared.to_json()["left_out"]
