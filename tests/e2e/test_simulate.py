"""`doggo simulate` as a newcomer meets it: a real process, a real browser, a real model."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser import chromium
from tests.e2e.test_page import named

PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()


@pytest.fixture(scope="module")
def url(bootstrap_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address, of a command in a process of its own that ends clean when asked to."""
    folder = tmp_path_factory.mktemp("simulate")
    words = ["simulate", "--port", "0", "--no-browser", "--bundle", str(bootstrap_bundle)]
    env = {"PATH": "/usr/bin:/bin", "DOGGO_HOME": str(folder / "home"), **_python_path()}
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "doggo", *words], env=env, cwd=folder, stderr=said
        )
    try:
        yield _address(process, folder / "said.txt")
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
    told = (folder / "said.txt").read_text()
    assert code == 0, told
    assert "Traceback" not in told
    assert not (folder / "home" / "bot.db").exists(), "a rehearsal is not kept"


def _python_path() -> dict[str, str]:
    return {key: os.environ[key] for key in ("PYTHONPATH", "TMPDIR") if key in os.environ}


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        told = said.read_text()
        found = re.search(r"chat with the bot at (http://127\.0\.0\.1:\d+)", told)
        if found and "answers in Telegram" in told:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"it did not start: {said.read_text()}")


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page, wide; the test fails if it breaks its own policy, throws, or asks elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "console",
        lambda message: troubles.append(message.text) if message.type == "error" else None,
    )
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((url, "blob:")) else troubles.append(request.url)
        ),
    )
    page.goto(url)
    yield page
    context.close()
    assert troubles == []


def meet(page: Page, name: str, language: str = "en") -> Locator:
    """Add a person who starts to talk; returns their chat."""
    page.get_by_role("button", name="New person").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Language").select_option(language)
    dialog.get_by_role("button", name="Add").click()
    chat = page.locator(f'.chat[aria-label="Chat of {name}"]')
    chat.get_by_role("button", name="Start", exact=True).click()
    expect(said(chat)).to_have_count(1)
    return chat


def said(chat: Locator) -> Locator:
    """What the bot said."""
    return chat.locator(".message.theirs")


def send(chat: Locator, photo: Path, caption: str = "") -> None:
    chat.locator("input[type=file]").set_input_files(photo)
    if caption:
        chat.get_by_label("Message", exact=True).fill(caption)
    chat.get_by_role("button", name="Send", exact=True).click()


def test_a_dropped_photo_is_named_and_corrected(page: Page, foolbox_photos: list[Path]) -> None:
    chat = meet(page, "Ada")
    mastiff = list(named(foolbox_photos, "imagenet_00_243").read_bytes())
    chat.evaluate(
        """(chat, bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'dog.jpg', {type: 'image/jpeg'}));
            const options = {bubbles: true, cancelable: true, dataTransfer: data};
            chat.dispatchEvent(new DragEvent('drop', options));
        }""",
        mastiff,
    )
    chat.get_by_role("button", name="Send", exact=True).click()
    answer = said(chat).nth(1)
    expect(answer).to_contain_text("Bull Mastiff")
    expect(answer).to_contain_text("%")
    consent = said(chat).nth(2)
    expect(consent).to_contain_text("May I keep the photos")

    answer.get_by_role("button", name="✗ Wrong").click()
    expect(answer.get_by_role("button", name="‹ Back")).to_be_visible()
    picked = answer.locator(".key").first
    breed = picked.inner_text()
    picked.click()
    expect(answer.get_by_role("button", name=f"Thanks: {breed}")).to_be_visible()

    consent.get_by_role("button", name=re.compile("Yes", re.I)).click()
    expect(said(chat).nth(2)).to_contain_text("I may keep the photos")
    assert page.locator(".key.waiting").count() == 0


def test_the_language_is_switched(page: Page) -> None:
    chat = meet(page, "Lucía", "es")
    expect(said(chat).first).to_contain_text("foto")
    chat.get_by_label("Message", exact=True).fill("/language")
    chat.get_by_role("button", name="Send", exact=True).click()
    menu = said(chat).nth(1)
    menu.get_by_role("button", name="Deutsch").click()
    expect(said(chat).nth(1)).to_contain_text("Deutsch")
    chat.get_by_label("Message", exact=True).fill("/help")
    chat.get_by_label("Message", exact=True).press("Enter")
    expect(said(chat).nth(2)).to_contain_text("Befehle")


def test_a_breed_is_searched_inline_for_a_photo(page: Page, foolbox_photos: list[Path]) -> None:
    chat = meet(page, "Grace")
    send(chat, named(foolbox_photos, "imagenet_00_243"))
    answer = said(chat).nth(1)
    answer.get_by_role("button", name="✗ Wrong").click()
    answer.get_by_role("button", name="🔍 Search a breed").click()
    field = chat.get_by_label("Message", exact=True)
    expect(field).to_have_value(re.compile("^@doggo_rehearsal_bot is "))
    field.press_sequentially("samo")
    chat.locator(".offer", has_text="Samoyed").click()
    expect(chat.locator(".message.mine").last).to_contain_text("Samoyed")
    expect(said(chat).last).to_contain_text("Noted: Samoyed")


def test_two_people_side_by_side_get_their_own_answers(
    page: Page, foolbox_photos: list[Path]
) -> None:
    first, second = meet(page, "Alan"), meet(page, "Вера", "ru")
    send(first, named(foolbox_photos, "imagenet_00_243"))
    send(second, named(foolbox_photos, "imagenet_01_559"))
    expect(said(first).nth(1)).to_contain_text("Bull Mastiff")
    expect(said(second).nth(1)).to_contain_text("Не похоже на собаку")
    expect(said(first).filter(has_text="not look like a dog")).to_have_count(0)
    expect(said(second).filter(has_text="Mastiff")).to_have_count(0)


def test_what_is_no_dog_and_no_picture_is_told(
    page: Page, foolbox_photos: list[Path], tmp_path: Path
) -> None:
    chat = meet(page, "Linus")
    send(chat, named(foolbox_photos, "imagenet_01_559"))
    expect(said(chat).nth(1)).to_contain_text("does not look like a dog")
    note = tmp_path / "note.txt"
    note.write_text("no dog")
    send(chat, note)
    expect(said(chat).last).to_contain_text("picture")
