"""The report is one file that shows what it may, escapes what it must and loads nothing."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from doggo.core.errors import StorageError
from doggo.evaluate.evaluation import Evaluation, NotScored, Share
from doggo.evaluate.labelled import LabelledPhoto
from doggo.evaluate.report import render, thumbnails, write_report
from doggo.evaluate.run import evaluate
from doggo.vision.predictor import Predictor

HOSTILE = '"><script>alert(1)</script>&<img src=x onerror=alert(2)>'

Draw = Callable[..., bytes]
Labelled = Callable[..., LabelledPhoto]


class _Tags(HTMLParser):
    """Every tag with its attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag


@pytest.fixture
def page(evaluation: Evaluation, photos: list[LabelledPhoto], tmp_path: Path) -> str:
    return write_report(evaluation, tmp_path / "r.html", photos).read_text(encoding="utf-8")


def test_it_loads_nothing_from_anywhere(page: str) -> None:
    assert not re.search(r"https?:|@import|url\(|srcset|<link|<iframe|<base", page)
    for _, attributes in _Tags(page).tags:
        assert "href" not in attributes
        source = attributes.get("src")
        assert source is None or source.startswith("data:image/jpeg;base64,")
    assert "default-src 'none'" in page


def test_it_shows_mistakes_but_never_a_photo_that_may_not_be_shown(
    page: str, evaluation: Evaluation, photos: list[LabelledPhoto]
) -> None:
    pictures = thumbnails(evaluation, photos)
    assert {"wrong1", "wrong2"} <= set(pictures)
    assert "wrong3" not in pictures
    shown = {attributes.get("src") for tag, attributes in _Tags(page).tags if tag == "img"}
    assert shown == set(pictures.values())
    assert "photo not shown" in page


def test_a_thumbnail_is_a_small_jpeg_without_metadata(
    predictor: Predictor, labelled: Labelled
) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "the owner's garden"
    picture = Image.new("RGB", (1200, 900), (20, 220, 20))
    picture.save(file, "JPEG", exif=exif)
    photo = labelled("garden", "beagle", file.getvalue())
    (uri,) = thumbnails(evaluate(predictor, [photo], data="one"), [photo]).values()
    jpeg = base64.b64decode(uri.partition(",")[2])
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        assert min(image.size) == 160
        assert not image.getexif()
    assert b"garden" not in jpeg


def test_a_very_long_photo_stays_small_on_the_page(
    predictor: Predictor, labelled: Labelled
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4000, 70), (20, 220, 20)).save(file, "PNG")
    photo = labelled("long", "beagle", file.getvalue())
    (uri,) = thumbnails(evaluate(predictor, [photo], data="one"), [photo]).values()
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert max(image.size) <= 320


def test_a_photo_that_is_gone_by_now_leaves_a_grey_box(
    evaluation: Evaluation, photos: list[LabelledPhoto], tmp_path: Path
) -> None:
    def gone() -> bytes:
        raise FileNotFoundError("gone")

    moved = [replace(photo, read=gone) for photo in photos]
    page = write_report(evaluation, tmp_path / "r.html", moved).read_text(encoding="utf-8")
    assert "<img" not in page
    assert "photo not shown" in page


def test_hostile_names_are_only_text(evaluation: Evaluation) -> None:
    (pair,) = evaluation.confused
    mistake = replace(pair.mistakes[0], breed=HOSTILE, answer=HOSTILE, found_at=HOSTILE)
    hostile = replace(
        evaluation,
        data=HOSTILE,
        caveats=(HOSTILE,),
        model=replace(evaluation.model, name=HOSTILE, calibration=HOSTILE, licences=(HOSTILE,)),
        breeds=(replace(evaluation.breeds[0], breed=HOSTILE, taken_for=HOSTILE),),
        confused=(replace(pair, first=HOSTILE, second=HOSTILE, mistakes=(mistake,)),),
        mistakes=(mistake,),
        unknown_breeds=(replace(evaluation.unknown_breeds[0], breed=HOSTILE),),
        not_scored=(
            NotScored(photo_id="x", found_at=HOSTILE, breed=HOSTILE, reason="r", detail=HOSTILE),
        ),
    )
    tags = _Tags(render(hostile, {"wrong1": "data:image/jpeg;base64,"})).tags
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert not any("onerror" in attributes for _, attributes in tags)
    clean = _Tags(render(evaluation, {})).tags
    assert {tag for tag, _ in tags} <= {tag for tag, _ in clean} | {"img"}


def test_no_photo_is_said_to_be_something_with_certainty(evaluation: Evaluation) -> None:
    sure = replace(evaluation.mistakes[0], probability=0.99996)
    page = render(replace(evaluation, mistakes=(sure,)), {})
    assert "&gt;99.9\N{NO-BREAK SPACE}%" in page
    assert "100.0\N{NO-BREAK SPACE}%</b><span" not in page


def test_the_figures_and_their_intervals_are_on_the_page(page: str, evaluation: Evaluation) -> None:
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    low, high = evaluation.top1.interval
    assert f"{100 * evaluation.top1.hits / evaluation.top1.n:.1f} %" in text
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in text
    for words in (
        evaluation.model.sha256,
        "pre-trained on ImageNet",
        "onnxruntime-f32",
        "drawn: yours",
        "Dalmatian",
        "gone.png is not there",
        "by hand",
    ):
        assert words in text


def test_a_perfect_evaluation_and_an_empty_one_have_a_page(evaluation: Evaluation) -> None:
    perfect = replace(
        evaluation, confused=(), mistakes=(), not_scored=(), unknown_breeds=(), macro_auroc=None
    )
    assert "It made no mistake." in render(perfect, {})
    nothing = replace(evaluation.verdicts, named=Share(hits=0, n=0), unsure=Share(hits=0, n=0))
    assert "names a breed for" in render(replace(evaluation, verdicts=nothing), {})


def test_it_replaces_the_old_report_whole_and_leaves_nothing_else(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "report.html"
    write_report(evaluation, out)
    first = out.read_bytes()
    assert write_report(evaluation, out) == out
    assert out.read_bytes() == first
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_chromium_opens_it_on_a_phone_and_sorts_the_table(
    evaluation: Evaluation, photos: list[LabelledPhoto], tmp_path: Path
) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium here: the page is not looked at in a real browser")
    from playwright.sync_api import sync_playwright

    out = write_report(evaluation, tmp_path / "r.html", photos)
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        tab = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(out.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        rows = tab.locator("table.sortable").first.locator("tbody tr")
        assert rows.first.inner_text().startswith("Beagle")
        for expected in ("Beagle", "Samoyed"):  # recall: 8 of 12, then down from 8 of 9
            tab.get_by_role("button", name="recall").click()
            assert rows.first.inner_text().startswith(expected)
        assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [out.as_uri()]
    assert said == []


def test_a_full_disk_leaves_the_report_that_was_there(
    evaluation: Evaluation, small_disk: Callable[[str], Path]
) -> None:
    out = small_disk("8k") / "r.html"
    out.write_text("as it was")
    with pytest.raises(StorageError, match="disk is full"):
        write_report(evaluation, out)
    assert out.read_text() == "as it was"
    assert list(out.parent.iterdir()) == [out]
