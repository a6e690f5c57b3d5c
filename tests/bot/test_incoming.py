"""What is meant for the bot, and which few fields are kept of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.bot import search
from doggo.bot.callback import untag
from doggo.bot.inbox import from_payload, to_payload
from doggo.bot.incoming import BotName, read_update
from doggo.core.chat import ChatKind, FileRef, Incoming, Kind, Preview, Unanswered

ME = BotName(bot_id=42, username="doggo_bot")
OURS = {"id": 42, "is_bot": True, "first_name": "Doggo", "username": "doggo_bot"}
SENDER = {
    "id": 7,
    "is_bot": False,
    "first_name": "Ada",
    "last_name": "Lovelace",
    "username": "ada_l",
    "language_code": "es-419",
}
PHOTO = [
    {"file_id": "small", "file_unique_id": "a", "width": 90, "height": 60, "file_size": 900},
    {"file_id": "large", "file_unique_id": "b", "width": 1280, "height": 853, "file_size": 99_000},
    {"file_id": "middle", "file_unique_id": "c", "width": 320, "height": 213, "file_size": 9_000},
]
LARGE = FileRef(file_id="large", size_bytes=99_000)
GROUP = {"id": -100_5, "type": "supergroup", "title": "Dog friends"}


def message(update_id: int = 1, chat: dict[str, Any] | None = None, **fields: Any) -> Any:
    body = {
        "message_id": 11,
        "date": 1_700_000_000,
        "chat": chat or {"id": 7, "type": "private", "first_name": "Ada", "username": "ada_l"},
        "from": SENDER,
        **fields,
    }
    return {"update_id": update_id, "message": body}


def said(text: str, *, at: str = "", kind: str = "bot_command", name: str = "text") -> Any:
    """A text with an entity over `at`, counted in UTF-16 units as Telegram does."""
    fields: dict[str, Any] = {name: text}
    if at:
        start = len(text[: text.index(at)].encode("utf-16-le")) // 2
        length = len(at.encode("utf-16-le")) // 2
        entities = "entities" if name == "text" else "caption_entities"
        fields[entities] = [{"type": kind, "offset": start, "length": length}]
    return fields


def read(update: Any) -> Incoming:
    found = read_update(update, ME)
    assert isinstance(found, Incoming), found
    return found


def test_the_largest_size_of_a_photo_is_looked_at() -> None:
    found = read(message(photo=PHOTO, **said("mi beagle", name="caption")))
    assert found == Incoming(
        update_id=1,
        kind=Kind.PHOTO,
        chat_id=7,
        chat_kind=ChatKind.PRIVATE,
        user_id=7,
        language="es-419",
        message_id=11,
        file=LARGE,
        text="mi beagle",
        sent_at=1_700_000_000,
    )


def test_nothing_of_names_is_kept() -> None:
    update = message(
        chat=GROUP,
        photo=PHOTO,
        **said("🐕 @doggo_bot", at="@doggo_bot", kind="mention", name="caption"),
    )
    kept = json.dumps(to_payload(read(update)))
    for name in ("Ada", "Lovelace", "ada_l", "Dog friends", "doggo_bot"):
        assert name not in kept


def test_what_is_stored_comes_back() -> None:
    found = read(message(photo=PHOTO, media_group_id="m1", **said("x", name="caption")))
    assert from_payload(json.loads(json.dumps(to_payload(found)))) == found


HEIC = {"file_id": "d", "mime_type": "image/heic", "file_size": 5}
STICKER = {"file_id": "s", "is_animated": False, "is_video": False}


def still(file_id: str, size_bytes: int | None = None) -> FileRef:
    return FileRef(file_id=file_id, size_bytes=size_bytes, preview=Preview.MOTION)


@pytest.mark.parametrize(
    ("fields", "file"),
    [
        ({"document": HEIC}, FileRef(file_id="d", size_bytes=5)),
        ({"document": {"file_id": "d", "file_name": "IMG.JPG"}}, FileRef(file_id="d")),
        (
            {
                "animation": {"file_id": "a", "thumbnail": {"file_id": "t", "file_size": 3}},
                "document": {"file_id": "a", "mime_type": "video/mp4"},
            },
            still("t", 3),
        ),
        ({"video": {"file_id": "v", "thumbnail": {"file_id": "t"}}}, still("t")),
        ({"sticker": STICKER}, FileRef(file_id="s")),
        ({"reply_to_message": {"photo": PHOTO, "from": SENDER}, "text": "and this?"}, LARGE),
        ({"external_reply": {"photo": PHOTO}, "text": "and this?"}, LARGE),
    ],
)
def test_every_kind_of_picture_is_found(fields: dict[str, Any], file: FileRef) -> None:
    found = read(message(**fields))
    assert (found.kind, found.file) == (Kind.PHOTO, file)


@pytest.mark.parametrize(
    "fields",
    [
        {"voice": {"file_id": "v"}},
        {"document": {"file_id": "d", "mime_type": "application/pdf"}},
        {"sticker": {"file_id": "s", "is_animated": True}},
        {"video": {"file_id": "v"}},
        {"location": {"latitude": 1.0, "longitude": 2.0}},
        {"photo": [], "poll": {}},
    ],
)
def test_what_is_no_picture_is_unfit(fields: dict[str, Any]) -> None:
    assert read(message(**fields)).kind is Kind.UNFIT


@pytest.mark.parametrize(
    ("text", "at", "command", "words"),
    [
        ("/breed German  shepherd", "/breed", "breed", "German shepherd"),
        ("/START", "/START", "start", ""),
        ("/help@Doggo_Bot", "/help@Doggo_Bot", "help", ""),
        ("/dog", "/dog", "dog", ""),
    ],
)
def test_commands_are_read(text: str, at: str, command: str, words: str) -> None:
    found = read(message(**said(text, at=at)))
    assert (found.kind, found.command, found.text) == (Kind.COMMAND, command, words)


def test_words_are_kept_only_where_they_answer_us() -> None:
    assert read(message(text="my secret")).text == ""
    reply = {"message_id": 3, "from": OURS, "text": "which breed?"}
    assert read(message(text="beagle", reply_to_message=reply)).text == "beagle"
    assert read(message(text="is abc: Pug", via_bot=OURS)).text == "is abc: Pug"


MENTION = said("😀 @Doggo_Bot look", at="@Doggo_Bot", kind="mention")
CAPTION = said("@doggo_bot", at="@doggo_bot", kind="mention", name="caption")
THEIRS = {"message_id": 3, "from": SENDER, "photo": PHOTO}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"photo": PHOTO}, None),
        ({"photo": PHOTO, **CAPTION}, Kind.PHOTO),
        ({"text": "hello"}, None),
        (MENTION, Kind.TEXT),
        ({**MENTION, "reply_to_message": THEIRS}, Kind.PHOTO),
        ({"text": "hello", "reply_to_message": THEIRS}, None),
        ({**said("/dog", at="/dog"), "reply_to_message": THEIRS}, Kind.PHOTO),
        (said("/dog@doggo_bot", at="/dog@doggo_bot"), Kind.COMMAND),
        (said("/dog@other_bot", at="/dog@other_bot"), None),
        (said("/help", at="/help"), None),
        (said("/help@doggo_bot", at="/help@doggo_bot"), Kind.COMMAND),
        ({"photo": PHOTO, **said("/dog", at="/dog", name="caption")}, Kind.PHOTO),
        ({"photo": PHOTO, "reply_to_message": {"from": OURS, "text": "x"}}, Kind.PHOTO),
        (said("@doggo_bot2", at="@doggo_bot2", kind="mention"), None),
        ({"new_chat_members": [OURS]}, None),
    ],
)
def test_a_group_is_answered_only_when_it_asks(fields: dict[str, Any], kind: Kind | None) -> None:
    found = read_update(message(chat=GROUP, **fields), ME)
    if kind is None:
        assert found == Unanswered(update_id=1, kind="not_for_us")
    else:
        assert isinstance(found, Incoming)
        assert (found.kind, found.chat_kind) == (kind, ChatKind.GROUP)


def test_a_mention_by_link_counts_and_its_words_are_cut_out() -> None:
    entity = {"type": "text_mention", "offset": 0, "length": 5, "user": OURS}
    reply = {"message_id": 3, "from": OURS, "text": "which?"}
    found = read(message(chat=GROUP, text="Doggo pug", entities=[entity], reply_to_message=reply))
    assert (found.kind, found.text) == (Kind.TEXT, "pug")


def test_other_bots_are_not_answered_but_anonymous_admins_are() -> None:
    bot = {**SENDER, "is_bot": True}
    assert isinstance(read_update(message(photo=PHOTO, **{"from": bot}), ME), Unanswered)
    admin = message(chat=GROUP, photo=PHOTO, sender_chat=GROUP, **{"from": bot}, **CAPTION)
    assert read(admin).kind is Kind.PHOTO


def test_taps_queries_and_memberships_are_read() -> None:
    tap = {"id": "c1", "from": SENDER, "data": "1r", "message": message(chat=GROUP)["message"]}
    found = read({"update_id": 2, "callback_query": tap})
    assert (found.kind, found.chat_id, found.message_id) == (Kind.TAP, -1005, 11)
    assert (found.text, found.callback_id) == ("1r", "c1")
    inline = {"id": "c2", "from": SENDER, "data": "1r", "inline_message_id": "x"}
    found = read({"update_id": 3, "callback_query": inline})
    assert (found.chat_id, found.chat_kind) == (7, ChatKind.NONE)
    query = {"id": "q", "from": SENDER, "query": "bea", "offset": ""}
    found = read({"update_id": 4, "inline_query": query})
    assert (found.kind, found.text, found.chat_kind) == (Kind.SEARCH, "bea", ChatKind.NONE)
    for before, after, kind in [
        ("member", "kicked", Kind.LEFT),
        ("kicked", "member", Kind.JOINED),
        ("left", "administrator", Kind.JOINED),
    ]:
        change = {
            "chat": GROUP,
            "from": SENDER,
            "old_chat_member": {"status": before},
            "new_chat_member": {"status": after},
        }
        assert read({"update_id": 5, "my_chat_member": change}).kind is kind


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("text", None),
        (None, None),
        ([], None),
        ({}, None),
        ({"update_id": "5"}, None),
        ({"update_id": True}, None),
        ({"update_id": -5}, None),
        ({"update_id": 2**63}, None),
        ({"update_id": 5}, "unknown_kind"),
        ({"update_id": 5, "brand_new_thing": {"id": 1}}, "unknown_kind"),
        ({"update_id": 5, "edited_message": {}}, "unknown_kind"),
        ({"update_id": 5, "message": []}, "unreadable"),
        ({"update_id": 5, "message": {}}, "unreadable"),
        ({"update_id": 5, "message": {"chat": {"id": 1, "type": "channel"}}}, "not_for_us"),
        ({"update_id": 5, "callback_query": {"id": 5}}, "unreadable"),
        ({"update_id": 5, "inline_query": {}}, "unreadable"),
        ({"update_id": 5, "my_chat_member": {"chat": {"type": "group"}}}, "unreadable"),
    ],
)
def test_what_nobody_understands_is_recorded(raw: object, expected: str | None) -> None:
    found = read_update(raw, ME)
    assert found == (expected and Unanswered(update_id=5, kind=expected))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_NAMES = [
    "chat",
    "from",
    "text",
    "caption",
    "entities",
    "caption_entities",
    "photo",
    "document",
    "animation",
    "video",
    "thumbnail",
    "sticker",
    "reply_to_message",
    "via_bot",
    "media_group_id",
    "message_id",
    "date",
    "data",
    "id",
    "type",
    "user",
    "status",
    "message",
    "old_chat_member",
    "new_chat_member",
    "query",
    "file_id",
    "offset",
    "length",
    "is_bot",
]
_VALUES = st.sampled_from([7, 42, -1, "private", "supergroup", "/dog", "bot_command", "mention"])
_BODY = st.recursive(
    _JSON | _VALUES,
    lambda inner: (
        st.dictionaries(st.sampled_from(_NAMES), inner, max_size=8) | st.lists(inner, max_size=3)
    ),
    max_leaves=30,
)


@given(
    kind=st.sampled_from(["message", "callback_query", "inline_query", "my_chat_member", "poll"]),
    body=_BODY,
    seed=st.booleans(),
)
def test_whatever_comes_is_read_or_recorded_and_can_be_stored(
    kind: str, body: Any, seed: bool
) -> None:
    if seed and isinstance(body, dict):  # close to a real one, with something odd in it
        body = {**message()["message"], "id": "x", **body}
    found = read_update({"update_id": 9, kind: body}, ME)
    assert found is not None
    assert found.update_id == 9
    if isinstance(found, Incoming):
        payload = to_payload(found)
        stored = json.dumps(payload).encode()
        assert b"\\u0000" not in stored
        assert json.dumps(payload, ensure_ascii=False).encode()  # no half of a surrogate pair
        assert from_payload(json.loads(stored)) == found


def test_a_breed_chosen_in_the_search_is_understood_with_its_photo() -> None:
    """The two parts that must agree: what the search sends, and what is read of it."""
    tag = "IiJ0c8vWQtOkS0Y3yXbOaw"
    found = read(message(text=f"🐶 Border Collie\n📷 {tag}", via_bot=OURS))
    assert found.kind is Kind.TEXT
    understood = search.said(found.text, ("border_collie",))
    assert understood is not None
    assert (understood.breed, understood.prediction_id) == ("border_collie", untag(tag))
