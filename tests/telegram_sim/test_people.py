"""People: photos in sizes, groups, privacy mode, inline mode, and moves that are wrong."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.simulating import TOKEN, Simulating

from doggo.telegram_sim.people import People, WrongMoveError
from doggo.telegram_sim.pictures import PictureError, prepare
from doggo.telegram_sim.telegram import Telegram

BOT = "@doggo_rehearsal_bot"


@given(st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=25, deadline=None)
def test_sizes_grow_and_never_exceed_the_photo(width: int, height: int) -> None:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "brown").save(out, "PNG")
    sizes = prepare(out.getvalue()).sizes
    sides = [max(size.width, size.height) for size in sizes]
    assert sides == sorted(set(sides))
    assert sides[-1] == min(max(width, height), 1280)
    assert sides[0] == min(max(width, height), 90)
    for size in sizes:
        assert Image.open(io.BytesIO(size.jpeg)).size == (size.width, size.height)


def test_sizes_of_a_large_photo_are_those_of_telegram(jpeg: bytes) -> None:
    assert [(size.width, size.height) for size in prepare(jpeg).sizes] == [
        (90, 60),
        (320, 213),
        (800, 533),
        (1280, 853),
    ]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xe0 cut off", b"<svg/>"])
def test_what_is_no_picture_cannot_be_a_photo(data: bytes) -> None:
    with pytest.raises(PictureError):
        prepare(data)


def test_each_sending_has_ids_of_its_own_for_the_same_bytes(sim: Simulating, jpeg: bytes) -> None:
    chat = sim.start_user()
    ready = prepare(jpeg)
    first, second = (sim.telegram.people.send_photo(chat, chat, ready)["photo"] for _ in range(2))
    assert {one["file_id"] for one in first}.isdisjoint(one["file_id"] for one in second)
    assert [one["file_unique_id"] for one in first] == [one["file_unique_id"] for one in second]


def test_large_files_are_refused_by_get_file(sim: Simulating) -> None:
    chat = sim.start_user()
    for size, ok in ((20 << 20, True), ((20 << 20) + 1, False)):
        sent = sim.telegram.people.send_file(chat, chat, b"x", size_bytes=size)
        said = sim.call("getFile", file_id=sent["document"]["file_id"]).json()
        assert said["ok"] is ok
    assert said["description"] == "Bad Request: file is too big"
    nothing = sim.call("getFile", file_id="nonsense").json()
    assert nothing["description"].endswith("wrong file_id or the file is temporarily unavailable")


def test_in_privacy_mode_the_bot_hears_only_what_is_for_it(sim: Simulating, jpeg: bytes) -> None:
    people = sim.telegram.people
    ada = sim.start_user()
    group = people.add_group("Pack", [ada])
    own = sim.call("sendMessage", chat_id=group, text="I am here").json()["result"]["message_id"]
    photo = people.send_photo(group, ada, jpeg)["message_id"]
    people.send_text(group, ada, "just us")
    people.send_text(group, ada, "/dog@other_bot")
    people.send_photo(group, ada, jpeg, caption=f"{BOT}s")
    for text in ("/dog", f"/dog{BOT}", f"look {BOT.upper()}"):
        people.send_text(group, ada, text)
    people.send_text(group, ada, "to you", reply_to=own)
    people.send_text(group, ada, f"{BOT} that one", reply_to=photo)
    people.send_photo(group, ada, jpeg, caption=f"{BOT} what is it?")
    heard = [
        update["message"]
        for update in sim.call("getUpdates").json()["result"]
        if "message" in update and update["message"]["chat"]["id"] == group
    ]
    assert [one.get("text", one.get("caption")) for one in heard] == [
        "/dog",
        f"/dog{BOT}",
        f"look {BOT.upper()}",
        "to you",
        f"{BOT} that one",
        f"{BOT} what is it?",
    ]
    assert len(heard[4]["reply_to_message"]["photo"]) == 4
    sim.telegram.state.privacy_mode = False
    people.send_text(group, ada, "just us, again")
    last = sim.call("getUpdates", offset=-1).json()["result"][0]
    assert last["message"]["text"] == "just us, again"


def test_results_of_inline_mode_are_sent_via_the_bot_and_can_be_edited(sim: Simulating) -> None:
    telegram = sim.telegram
    telegram.inline.feedback = True
    chat = sim.start_user()
    query = telegram.inline.ask(chat, chat, "bea")
    assert telegram.inline.results(query) is None
    article = {
        "type": "article",
        "id": "1",
        "title": "Beagle",
        "input_message_content": {"message_text": "<b>Beagle</b>", "parse_mode": "HTML"},
        "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "x"}]]},
    }
    assert sim.call("answerInlineQuery", inline_query_id=query, results=[article]).json()["ok"]
    message = telegram.inline.choose(query, "1")
    assert message["via_bot"]["username"] == BOT[1:]
    assert message["entities"] == [{"type": "bold", "offset": 0, "length": 6}]
    told = sim.call("getUpdates", offset=-1).json()["result"][0]["chosen_inline_result"]
    inline_id = told["inline_message_id"]
    telegram.people.tap(chat, chat, message["message_id"], "x")
    tapped = sim.call("getUpdates", offset=-1).json()["result"][0]["callback_query"]
    assert tapped["inline_message_id"] == inline_id
    assert "message" not in tapped
    edited = sim.call("editMessageText", inline_message_id=inline_id, text="Basset").json()
    assert edited == {"ok": True, "result": True}
    assert telegram.state.rooms[chat].messages[message["message_id"]]["text"] == "Basset"
    unknown = sim.call("editMessageText", inline_message_id="nonsense", text="x").json()
    assert unknown["description"] == "Bad Request: MESSAGE_ID_INVALID"


def test_blocking_and_unblocking_are_told(sim: Simulating) -> None:
    chat = sim.start_user()
    sim.telegram.people.block(chat)
    sim.telegram.people.block(chat)
    sim.telegram.people.unblock(chat)
    changes = [update["my_chat_member"] for update in sim.call("getUpdates").json()["result"][1:]]
    assert [one["new_chat_member"]["status"] for one in changes] == ["kicked", "member"]
    assert [one["old_chat_member"]["status"] for one in changes] == ["member", "kicked"]
    assert sim.call("sendMessage", chat_id=chat, text="again").json()["ok"]


WRONG_MOVES: list[Callable[[People, int], object]] = [
    lambda people, ada: people.send_text(ada, ada, "  "),
    lambda people, ada: people.send_text(ada, 5, "x"),
    lambda people, ada: people.send_text(5, ada, "x"),
    lambda people, ada: people.send_text(ada, ada, "x", reply_to=99),
    lambda people, ada: people.send_photo(ada, ada, b"nonsense"),
    lambda people, ada: people.send_album(ada, ada, []),
    lambda people, ada: people.send_file(ada, ada, b"x", kind="hologram"),
    lambda people, ada: people.edit_text(ada, 99, "x"),
    lambda people, ada: people.tap(ada, ada, 1, "x"),
    lambda people, ada: people.add_user(user_id=ada),
    lambda people, ada: people.add_group("Pack", []),
    lambda people, ada: people.add_group("Pack", [5]),
    lambda people, ada: people.add_group("Pack", [ada], chat_id=5),
    lambda people, ada: (people.block(ada), people.send_text(ada, ada, "x")),
]


@pytest.mark.parametrize("move", WRONG_MOVES)
def test_wrong_moves_are_refused_and_leave_no_update(move: Callable[[People, int], object]) -> None:
    telegram = Telegram(TOKEN)
    ada = telegram.people.add_user()["id"]
    telegram.people.send_text(ada, ada, "/start")
    with pytest.raises(WrongMoveError):
        move(telegram.people, ada)
    kinds = [one.queue[0] for one in telegram.backlog.take(0, 100)]
    assert [kind for kind in kinds if kind != "my_chat_member"] == ["message"]


def test_commands_shown_are_those_of_the_narrowest_scope(sim: Simulating) -> None:
    ada = sim.start_user(language_code="de-AT")
    group = sim.telegram.people.add_group("Pack", [ada])

    def shown(chat: int) -> list[str]:
        found = sim.client.get("/sim/commands", params={"chat": chat, "user": ada}).json()
        return [one["command"] for one in found]

    def put(command: str, **arguments: object) -> None:
        commands = [{"command": command, "description": "d"}]
        assert sim.call("setMyCommands", commands=commands, **arguments).json()["ok"]

    assert shown(ada) == []
    put("all")
    assert (shown(ada), shown(group)) == (["all"], ["all"])
    put("alle", language_code="de")
    put("private", scope={"type": "all_private_chats"})
    assert (shown(ada), shown(group)) == (["private"], ["alle"])
    put("here", scope={"type": "chat", "chat_id": ada})
    put("hers", scope={"type": "chat_member", "chat_id": group, "user_id": ada})
    assert (shown(ada), shown(group)) == (["here"], ["hers"])
