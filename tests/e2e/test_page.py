"""The page at `/` in real Chromium, against a real server with a real model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import chromium, opened
from tests.serving import Serving
from tests.tiny_bundle import make_bundle

from doggo.core import shares
from doggo.core.breeds import BREEDS, title
from doggo.serve.models import FixedBundle, ProductionBundle
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.vision.photo import MAX_BYTES

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()


@pytest.fixture(scope="module")
def server(bootstrap_bundle: Path) -> Iterator[Serving]:
    with Serving(FixedBundle(bootstrap_bundle)) as serving:
        yield serving


@pytest.fixture
def page(browser: Browser, server: Serving) -> Iterator[Page]:
    yield from opened(browser, server.url, PATIENCE_MS)


def named(photos: list[Path], stem: str) -> Path:
    return next(path for path in photos if path.stem == stem)


def test_a_dog_gets_bars(page: Page, server: Serving, foolbox_photos: list[Path]) -> None:
    mastiff = named(foolbox_photos, "imagenet_00_243")
    share = server.predict(mastiff.read_bytes()).json()["breeds"][0]["probability"]
    expect(page.locator("#model")).to_contain_text("knows 120 breeds", timeout=PATIENCE_MS)
    page.set_input_files("#photo", mastiff)
    bars = page.locator("#bars li")
    expect(bars).to_have_count(3, timeout=PATIENCE_MS)
    expect(bars.first).to_contain_text("Bull Mastiff")
    expect(bars.first.locator(".share")).to_have_text(f"{shares.share(share, 1)} %")
    expect(page.locator("#verdict")).to_contain_text(re.compile("I’m sure|Hard to tell"))
    expect(page.locator("#facts")).to_contain_text("efficientnet_lite0")
    expect(page.locator("#facts")).to_contain_text("ms")
    assert page.evaluate("document.getElementById('preview').naturalWidth") == 512
    widths = page.wait_for_function(
        """(share) => {
            const widths = [...document.querySelectorAll('#bars .bar')].map(
                (bar) => bar.firstChild.getBoundingClientRect().width / bar.offsetWidth);
            return Math.abs(widths[0] - share) < 0.01 && widths;
        }""",
        arg=share,
    ).json_value()
    assert widths[0] > widths[1] > widths[2]


def test_the_page_words_breeds_and_figures_as_everything_else_does(page: Page) -> None:
    breeds = [*BREEDS, "constructor", "my_own_breed"]  # an owner may call a breed anything
    figures = [0, 0.0004, 0.001, 0.0123, 0.5, 0.99, 0.9989, 0.9994, 0.9996, 1]
    said = page.evaluate(
        """async ([breeds, figures]) => {
            const { percent, title } = await import("/static/words.js");
            return [breeds.map(title), figures.map(percent)];
        }""",
        [breeds, figures],
    )
    assert said[0] == [title(breed) for breed in breeds]
    assert said[1] == [f"{shares.share(figure, 1)} %" for figure in figures]


def test_what_is_no_dog_is_told_and_another_photo_can_follow(
    page: Page, foolbox_photos: list[Path]
) -> None:
    page.set_input_files("#photo", named(foolbox_photos, "imagenet_01_559"))
    verdict = page.locator("#verdict")
    expect(verdict).to_have_text("That does not look like a dog", timeout=PATIENCE_MS)
    expect(page.locator("#bars li")).to_have_count(0)
    page.get_by_role("button", name="Another photo").click()
    expect(page.locator("#zone")).to_be_visible()
    page.set_input_files("#photo", named(foolbox_photos, "imagenet_00_243"))
    expect(page.locator("#bars li").first).to_contain_text("Bull", timeout=PATIENCE_MS)


def test_a_photo_may_be_dropped_or_pasted(page: Page, foolbox_photos: list[Path]) -> None:
    photo = list(named(foolbox_photos, "imagenet_00_243").read_bytes())
    make = """(kind, bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'dog.jpg', {type: 'image/jpeg'}));
        const options = {bubbles: true, cancelable: true};
        window.dispatchEvent(kind === 'drop'
            ? new DragEvent('drop', {...options, dataTransfer: data})
            : new ClipboardEvent('paste', {...options, clipboardData: data}));
    }"""
    for kind in ("drop", "paste"):
        page.reload()
        page.evaluate(f"(bytes) => ({make})('{kind}', bytes)", photo)
        expect(page.locator("#bars li").first).to_contain_text("Bull", timeout=PATIENCE_MS)


def test_troubles_are_told_in_words(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is no picture")
    page.set_input_files("#photo", broken)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("I cannot read that as a photo", timeout=PATIENCE_MS)
    expect(alert).to_contain_text("send a JPEG")
    expect(page.locator("#again")).to_be_hidden()

    huge = tmp_path / "huge.jpg"
    huge.write_bytes(b"\0" * (MAX_BYTES + 1))
    page.set_input_files("#photo", huge)
    expect(alert).to_contain_text("That photo is too big", timeout=PATIENCE_MS)


def test_a_busy_server_can_be_asked_again(page: Page, foolbox_photos: list[Path]) -> None:
    busy = '{"title": "Too many photos are waiting", "status": 429, "detail": "try again in 1 s"}'
    page.route("**/v1/predict", lambda route: route.fulfill(status=429, body=busy))
    page.set_input_files("#photo", named(foolbox_photos, "imagenet_00_243"))
    expect(page.get_by_role("alert")).to_contain_text("busy", timeout=PATIENCE_MS)
    page.unroute("**/v1/predict")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#bars li")).to_have_count(3, timeout=PATIENCE_MS)


def test_the_keyboard_is_enough(page: Page, foolbox_photos: list[Path]) -> None:
    focused = "document.activeElement.id"
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "photo":
            break
    assert page.evaluate(focused) == "photo"
    # Opening its dialog with a key is the browser's own business: it is a plain file input.
    page.set_input_files(":focus", named(foolbox_photos, "imagenet_00_243"))
    expect(page.locator("#bars li")).to_have_count(3, timeout=PATIENCE_MS)
    assert page.evaluate(focused) == "verdict"  # a screen reader goes on from there
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#zone")).to_be_visible()
    assert page.evaluate(focused) == "photo"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(
    browser: Browser, server: Serving, foolbox_photos: list[Path], scheme: str
) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    for page in opened(browser, server.url, PATIENCE_MS, color_scheme=scheme, **phone):
        expect(page.get_by_text("Take a photo")).to_be_visible()
        page.set_input_files("#camera", named(foolbox_photos, "imagenet_00_243"))
        expect(page.locator("#bars li")).to_have_count(3, timeout=PATIENCE_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.goto(f"{server.url}/docs")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_without_a_model_it_says_so_and_notices_the_first_one(
    browser: Browser, tmp_path: Path
) -> None:
    store = BundleStore(Bucket(tmp_path / "store"))
    with Serving(ProductionBundle(store)) as empty:
        for page in opened(browser, empty.url, PATIENCE_MS):
            line = page.locator("#model")
            expect(line).to_contain_text("No model is on duty yet", timeout=PATIENCE_MS)
            version = store.add(make_bundle(tmp_path / "colour"), {})
            store.move(version, why="test", actor="test")
            expect(line).to_contain_text("colour, version 1", timeout=PATIENCE_MS)
