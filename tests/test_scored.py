"""What scoring told, as a person reads it."""

from __future__ import annotations

from pathlib import Path

from doggo.core.records import Manifest, ManifestRow, Origin, Split
from doggo.scored import Scored, why_untested

HEADLINE = {
    "photos": 10.0,
    "top1": 0.9,
    "top1_low": 0.5958,
    "top1_high": 0.9821,
    "top3": 1.0,
    "macro_auroc": 0.98765,
    "balanced_accuracy": 0.875,
    "log_loss": 0.31234,
    "ece_before": 0.2,
    "ece": 0.05,
    "aurc": 0.0123,
    "coverage_at_95": 0.8,
    "named": 0.5,
    "named_precision": 0.8,
    "not_scored": 0.0,
    "ms_per_photo": 4.25,
}


def scored(headline: dict[str, float] | None = None, **options: object) -> Scored:
    values = {"version": 1, "data": "the folder dogs", "photos": 15, "report": Path("r.html")}
    return Scored(**{**values, "headline": headline or HEADLINE, **options})


def said(one: Scored) -> list[str]:
    return one.to_text().replace("\N{NO-BREAK SPACE}", " ").splitlines()


def test_figures_are_told_in_the_words_of_the_report() -> None:
    assert said(scored()) == [
        "the folder dogs: 15 photos",
        "  first guess right           90.0 %  95 % interval 59.6 to 98.2 %",
        "  in the first three         100.0 %  95 % interval 72.2 to 100.0 %",
        "  right when sure             80.0 %  95 % interval 37.6 to 96.4 %; "
        "it names a breed for 50.0 %",
        "  calibration error            5.0 %  20.0 % before the temperature",
        "  balanced accuracy           87.5 %",
        "  macro AUROC                 0.9877",
        "  log-loss                     0.312",
        "  area under risk–coverage    0.0123",
        "  answerable at 95 % right    80.0 %  with hindsight",
        "  time a photo, in bulk       4.2 ms",
        "report: r.html",
    ]


def test_a_model_that_was_never_sure_has_figures_too() -> None:
    bare = {name: HEADLINE[name] for name in HEADLINE if name not in {"macro_auroc"}}
    del bare["named_precision"]
    lines = said(scored({**bare, "named": 0.0}))
    assert "  right when sure                  –  it names a breed for 0.0 %" in lines
    assert "  macro AUROC                      –" in lines


def test_what_is_in_no_figure_is_told() -> None:
    some = {"komondor": 5, "shiba_inu": 1}
    one = scored({**HEADLINE, "not_scored": 1.0}, unknown_breeds=some, unlabelled=3)
    left_out = [line for line in said(one) if line.startswith("left out")]
    assert left_out == [
        "left out: 6 photos of breeds that the model has not (Komondor 5, Shiba Inu 1)",
        "left out: 1 photo that could not be read; the report says why",
        "left out: 3 files for which neither folder nor name says the breed",
    ]
    assert one.to_json()["metrics"] == {**HEADLINE, "not_scored": 1.0}


def test_a_long_list_of_unknown_breeds_is_cut() -> None:
    [line] = [
        line
        for line in said(scored(unknown_breeds={f"b{n:02}": 1 for n in range(12)}))
        if line.startswith("left out")
    ]
    assert line.endswith("B09 1 and 2 more breeds)")


def manifest(*breeds: str) -> Manifest:
    rows = tuple(
        ManifestRow(
            photo_id=str(n),
            raw_uri=f"file:///raw/{breed}/{n}.jpg",
            breed=breed,
            split=Split.TEST,
            sha256=str(n),
            group_id=str(n),
            shard="s",
            offset=0,
            height_px=1,
            width_px=1,
            origin=Origin.OWNER,
            may_be_shown=True,
        )
        for n, breed in enumerate(breeds)
    )
    return Manifest(manifest_id="m", short_side_px=256, decoder="d", step="s", seed=1, rows=rows)


def test_a_model_is_tested_if_it_knows_one_of_the_breeds() -> None:
    assert why_untested(["pug", "boxer"], manifest("pug", "labradoodle")) is None
    assert why_untested(["pug"], manifest()) == "there are no test photos yet"
    assert why_untested(["pug"], None) == "there are no test photos yet"
    assert why_untested(["pug"], manifest("labradoodle", "bolonka")) == (
        "no test photo is of a breed that it knows, but of Bolonka, Labradoodle"
    )
