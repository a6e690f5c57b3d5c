"""The chat page of the simulated Telegram in real Chromium, with a tiny bot behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser import chromium, opened
from tests.e2e.rehearsing_bot import RehearsingBot
from tests.simulating import Simulating

PATIENCE_MS = 20_000
BOT = "@doggo_rehearsal_bot"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()


@pytest.fixture
def sim() -> Iterator[Simulating]:
    with Simulating(enforce_limits=False) as simulating, RehearsingBot(simulating):
        yield simulating


@pytest.fixture
def page(browser: Browser, sim: Simulating) -> Iterator[Page]:
    yield from opened(browser, sim.url, PATIENCE_MS)


def begin(page: Page, name: str = "Ada") -> Locator:
    """Add a person and press Start; returns their chat."""
    page.locator("#guests").get_by_role("button", name=name).click()
    chat = page.get_by_role("region", name=f"Chat of {name}")
    chat.get_by_role("button", name="Start").click()
    expect(bubbles(chat).last).to_contain_text("You said:", timeout=PATIENCE_MS)
    return chat


def bubbles(chat: Locator) -> Locator:
    return chat.locator(".message")


def field(chat: Locator) -> Locator:
    return chat.get_by_role("textbox", name="Message")


def test_a_photo_its_answer_and_its_buttons(page: Page, foolbox_photos: list[Path]) -> None:
    chat = begin(page)
    chat.locator("input[type=file]").set_input_files(foolbox_photos[0])
    expect(chat.locator(".strip img")).to_be_visible()
    field(chat).fill("is this a dog?")
    field(chat).press("Enter")
    answer = bubbles(chat).last
    expect(answer.locator("b", has_text="I see a photo")).to_be_visible()
    expect(answer.locator("code").first).to_contain_text("▰")
    expect(answer.locator(".quote")).to_contain_text("is this a dog?")
    photo = bubbles(chat).nth(2).locator("img")
    expect(photo).to_be_visible()
    assert photo.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 90

    answer.get_by_role("button", name="Sure?").click()
    expect(page.get_by_role("dialog")).to_contain_text("Are you sure?")
    page.get_by_role("dialog").get_by_role("button", name="OK").click()
    answer.get_by_role("button", name="Right").click()
    expect(chat.locator(".toast")).to_have_text("Thank you!")
    expect(answer).to_contain_text("You said it is right.")
    expect(answer).to_contain_text("edited")
    expect(answer.get_by_role("button", name="Right")).to_have_count(0)


def test_photos_may_be_dropped_as_an_album_or_sent_as_a_file(
    page: Page, sim: Simulating, foolbox_photos: list[Path]
) -> None:
    chat = begin(page)
    for _ in range(2):
        data = list(foolbox_photos[0].read_bytes())
        page.evaluate(
            """([chat, bytes]) => {
                const dropped = new DataTransfer();
                const file = new File([new Uint8Array(bytes)], "dog.jpg", {type: "image/jpeg"});
                dropped.items.add(file);
                chat.dispatchEvent(new DragEvent("drop", {bubbles: true, dataTransfer: dropped}));
            }""",
            [chat.element_handle(), data],
        )
    expect(chat.locator(".strip img")).to_have_count(2)
    chat.get_by_role("button", name="Send").click()
    expect(bubbles(chat)).to_have_count(6)  # /start, its echo, two photos, two answers
    messages = list(next(iter(sim.telegram.state.rooms.values())).messages.values())
    albums = [one["media_group_id"] for one in messages if "media_group_id" in one]
    assert len(albums) == 2
    assert len(set(albums)) == 1

    chat.locator("input[type=file]").set_input_files(foolbox_photos[0])
    chat.get_by_label("as files").check()
    chat.get_by_role("button", name="Send").click()
    expect(bubbles(chat).last.locator(".attached")).to_contain_text(foolbox_photos[0].name)


def test_texts_are_shown_and_never_run(page: Page, sim: Simulating) -> None:
    chat = begin(page)
    hostile = "<img src=x onerror=document.title='run'> & <b>bold</b>"
    field(chat).fill(hostile)
    field(chat).press("Enter")
    expect(bubbles(chat).last.locator("pre")).to_have_text(hostile)
    user = next(iter(sim.telegram.state.users))
    text = (
        "<b>a <i>b</i></b> <code>c</code> <tg-spoiler>hidden</tg-spoiler> "
        '<a href="https://a.example/">there</a> /pat'
    )
    sim.telegram.carry_out("sendMessage", {"chat_id": user, "text": text, "parse_mode": "HTML"})
    last = bubbles(chat).last
    expect(last.locator("b > i")).to_have_text("b")
    link = last.get_by_role("link", name="there")
    expect(link).to_have_attribute("href", "https://a.example/")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    last.get_by_role("button", name="/pat").click()
    expect(bubbles(chat).last.locator("pre")).to_have_text("/pat")
    bad_name = sim.telegram.people.add_user("<i>Eve</i>")["first_name"]
    expect(page.get_by_role("heading", name=bad_name)).to_be_visible()
    assert page.title() != "run"


def test_typing_is_shown_until_the_answer_comes(page: Page) -> None:
    chat = begin(page)
    field(chat).fill("/slow")
    field(chat).press("Enter")
    expect(chat.locator(".subtitle")).to_have_text("bot is typing…")
    expect(bubbles(chat).last).to_contain_text("That took a while.")
    expect(chat.locator(".subtitle")).to_have_text("en")


def test_commands_and_inline_results_with_the_keyboard_alone(page: Page) -> None:
    chat = begin(page)
    field(chat).press_sequentially("/pa")
    expect(chat.locator(".offer")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(bubbles(chat).last.locator("pre")).to_have_text("/pat")

    expect(field(chat)).to_be_focused()
    page.keyboard.type(f"{BOT} bo")
    expect(chat.locator(".offer")).to_have_count(2)  # Border Collie, Boxer
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(bubbles(chat).last).to_contain_text("It is a Boxer")
    expect(bubbles(chat).last.locator(".via")).to_have_text(f"via {BOT}")
    expect(field(chat)).to_have_value("")
    page.keyboard.type(f"{BOT} xyz")
    expect(chat.locator(".offers")).to_have_text("The bot found nothing.")
    page.keyboard.press("Escape")
    expect(chat.locator(".offers")).to_be_hidden()


def test_several_people_and_a_group_side_by_side(page: Page, sim: Simulating) -> None:
    ada = begin(page)
    page.get_by_role("button", name="New person").click()
    page.get_by_label("Name").fill("Bob")
    page.get_by_role("button", name="Add", exact=True).click()
    bob = page.get_by_role("region", name="Chat of Bob")
    expect(bob.get_by_role("button", name="Start")).to_be_visible()
    assert ada.bounding_box()["x"] < bob.bounding_box()["x"]  # type: ignore[index]

    page.get_by_role("button", name="New group").click()
    page.get_by_role("button", name="Make it").click()
    group = page.get_by_role("region", name="Chat of Dog park")
    group.get_by_label("Write as").select_option(label="Bob")
    field(group).fill("between us")
    field(group).press("Enter")
    expect(bubbles(group)).to_have_count(1)
    expect(bubbles(group).first).to_have_class(re.compile("mine"))
    field(group).fill(f"{BOT} and you?")
    field(group).press("Escape")
    field(group).press("Enter")
    expect(bubbles(group)).to_have_count(3)
    expect(bubbles(group).last).to_contain_text("You said:")
    group.get_by_label("Write as").select_option(label="Ada")
    expect(bubbles(group).first).to_have_class(re.compile("theirs"))
    expect(bubbles(group).first).to_contain_text("Bob")
    group.get_by_role("button", name="Remove bot").click()
    expect(group.get_by_role("button", name="Add bot")).to_be_visible()

    ada.get_by_role("button", name="Block").click()
    expect(ada.get_by_role("button", name="Unblock the bot")).to_be_visible()
    ada.get_by_role("button", name="Unblock the bot").click()
    expect(field(ada)).to_be_visible()
    page.reload()
    expect(bubbles(page.get_by_role("region", name="Chat of Dog park"))).to_have_count(3)


def test_replying_and_closing_a_chat(page: Page, sim: Simulating) -> None:
    chat = begin(page)
    bubbles(chat).first.hover()
    bubbles(chat).first.get_by_role("button", name="Reply").click()
    expect(chat.locator(".reply-bar")).to_contain_text("/start")
    field(chat).fill("what about it?")
    field(chat).press("Enter")
    expect(bubbles(chat).nth(2).locator(".quote")).to_contain_text("/start")
    expect(chat.locator(".reply-bar")).to_be_hidden()
    expect(bubbles(chat)).to_have_count(4)
    chat.get_by_role("button", name="Close the chat of Ada").click()
    expect(page.locator(".chat")).to_have_count(0)
    user = next(iter(sim.telegram.state.users))
    sim.telegram.carry_out("sendMessage", {"chat_id": user, "text": "still here?"})
    tab = page.get_by_role("navigation").get_by_role("button", name="Ada")
    expect(tab.locator(".unread")).to_have_text("1")
    tab.click()
    expect(bubbles(page.locator(".chat")).last).to_contain_text("still here?")


def test_what_goes_wrong_is_told(page: Page, sim: Simulating, tmp_path: Path) -> None:
    chat = begin(page)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is no picture")
    chat.locator("input[type=file]").set_input_files(broken)
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".toast")).to_contain_text("send it as a file")
    assert len(next(iter(sim.telegram.state.rooms.values())).messages) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(
    browser: Browser, sim: Simulating, foolbox_photos: list[Path], scheme: str
) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    for page in opened(browser, sim.url, PATIENCE_MS, color_scheme=scheme, **phone):
        chat = begin(page)
        sim.telegram.people.add_user("Bob")
        expect(page.locator(".tab")).to_have_count(2)
        page.get_by_role("navigation").get_by_role("button", name="Ada").click()
        chat.locator("input[type=file]").set_input_files(foolbox_photos[0])
        chat.get_by_role("button", name="Send").click()
        expect(bubbles(chat).last).to_contain_text("I see a photo")
        expect(page.get_by_role("region", name="Chat of Bob")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("document.documentElement.scrollHeight") <= 740
