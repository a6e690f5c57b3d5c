"""The models are those of the machine-readable Bot API, and so is everything that is sent."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin

import pytest
from pydantic import TypeAdapter
from tests.simulating import TOKEN, Simulating
from tests.telegram_sim.bot_api import complaints
from typing_extensions import get_type_hints, is_typeddict

from doggo.telegram_sim import arguments, inputs, keyboards, objects
from doggo.telegram_sim.inputs import InputFile, NotImitated
from doggo.telegram_sim.methods import METHODS

PLAIN = {int: "Integer", str: "String", bool: "Boolean", float: "Float", InputFile: "InputFile"}
ALIASES = {
    # One shape of ours stands for a union of the API.
    ("InlineQueryResultArticle", "InlineQueryResultCachedPhoto"): "InlineQueryResult",
    ("InputTextMessageContent",): "InputMessageContent",
    ("InputMediaPhoto",): "InputMedia",
    ("InaccessibleMessage", "Message"): "MaybeInaccessibleMessage",
    ("ChatMemberBanned", "ChatMemberLeft", "ChatMemberMember"): "ChatMember",
}


def spelled(annotation: Any) -> frozenset[str]:
    """Return the types of an annotation as the API spells them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        named = [mark.name for mark in marks if isinstance(mark, NotImitated)]
        return frozenset(named) if named else spelled(inner)
    if origin in (Required, NotRequired):
        return spelled(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not types.NoneType]
        names = frozenset().union(*(spelled(part) for part in parts))
        return aliased(names)
    if origin is list:
        return frozenset(f"Array of {name}" for name in spelled(get_args(annotation)[0]))
    if annotation in PLAIN:
        return frozenset({PLAIN[annotation]})
    return aliased(frozenset({annotation.__name__}))


def aliased(names: frozenset[str]) -> frozenset[str]:
    alias = ALIASES.get(tuple(sorted(names)))
    return frozenset({alias}) if alias else names


SHAPES = sorted(
    {
        name: shape
        for module in (objects, keyboards, inputs)
        for name, shape in vars(module).items()
        if is_typeddict(shape) and not name.startswith("_") and name != "BotCommandScope"
    }.items()
)


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
def test_every_type_has_members_of_the_api_and_all_that_are_required(
    name: str, shape: type, api: dict[str, Any]
) -> None:
    fields = {one["name"]: one for one in api["types"][name].get("fields", [])}
    hints = get_type_hints(shape, include_extras=True)
    schema = TypeAdapter(shape).json_schema()
    required = set(schema.get("$defs", {}).get(name, schema).get("required", ()))
    assert hints.keys() <= fields.keys()
    assert required >= {key for key, one in fields.items() if one["required"]}
    for key, annotation in hints.items():
        assert spelled(annotation) == frozenset(fields[key]["types"]), key


def test_one_shape_holds_every_scope_of_commands(api: dict[str, Any]) -> None:
    hints = get_type_hints(inputs.BotCommandScope, include_extras=True)
    for scope in api["types"]["BotCommandScope"]["subtypes"]:
        for one in api["types"][scope]["fields"]:
            assert spelled(hints[one["name"]]) == frozenset(one["types"]), scope


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method_takes_exactly_the_arguments_of_the_api(
    method: Any, api: dict[str, Any]
) -> None:
    described = api["methods"][method.name]
    fields = {one["name"]: one for one in described.get("fields", [])}
    model = method.arguments
    hints = get_type_hints(model, include_extras=True)
    assert model.model_fields.keys() == fields.keys()
    for name, field in model.model_fields.items():
        # An edit needs its text or a rich message, setWebhook an address: both say so themselves.
        assert field.is_required() == fields[name]["required"], name
        assert spelled(hints[name]) == frozenset(fields[name]["types"]), name


def test_every_model_of_arguments_belongs_to_a_method() -> None:
    models = {
        model
        for name, model in vars(arguments).items()
        if isinstance(model, type)
        and issubclass(model, arguments.Arguments)
        and name not in ("Arguments", "Editing", "_Sending")
    }
    assert models == {method.arguments for method in METHODS.values()}


@pytest.fixture
def valid(api: dict[str, Any], sim: Simulating) -> Callable[..., Any]:
    """Calls a method and checks its result with the API."""

    def call(method: str, **arguments: object) -> Any:
        answer = sim.call(method, **arguments).json()
        assert answer["ok"], answer
        wrong = complaints(api, answer["result"], api["methods"][method]["returns"], method)
        assert wrong == []
        return answer["result"]

    return call


def test_results_are_those_of_the_api(
    sim: Simulating, valid: Callable[..., Any], jpeg: bytes
) -> None:
    chat = sim.start_user()
    buttons = {"inline_keyboard": [[{"text": "Right", "callback_data": "r"}]]}
    valid("getMe")
    valid("getWebhookInfo")
    valid("sendChatAction", chat_id=chat, action="typing")
    message = valid("sendMessage", chat_id=chat, text="<b>hi</b> /help", parse_mode="HTML")
    here = {"chat_id": chat, "message_id": message["message_id"]}
    valid("editMessageText", **here, text="ho", reply_markup=buttons)
    valid("editMessageReplyMarkup", **here)
    photo = sim.telegram.people.send_photo(chat, chat, jpeg)["photo"][-1]["file_id"]
    sent = valid(
        "sendPhoto",
        chat_id=chat,
        photo=photo,
        caption="<i>it</i>",
        parse_mode="HTML",
        reply_parameters={"message_id": message["message_id"]},
    )
    there = {"chat_id": chat, "message_id": sent["message_id"]}
    valid("editMessageCaption", **there, caption="else")
    valid("editMessageMedia", **there, media={"type": "photo", "media": photo})
    valid("getFile", file_id=photo)
    valid("deleteMessage", **there)
    commands = [{"command": "start", "description": "Begin"}]
    for scope in ({"type": "default"}, {"type": "chat", "chat_id": chat}):
        valid("setMyCommands", commands=commands, scope=scope, language_code="de")
        assert valid("getMyCommands", scope=scope, language_code="de") == commands
        valid("deleteMyCommands", scope=scope, language_code="de")
    valid("setMyDescription", description="d")
    valid("getMyDescription")
    valid("setMyShortDescription", short_description="s")
    valid("getMyShortDescription", language_code="fr")
    valid("deleteWebhook")
    valid("logOut")
    valid("getUpdates")


def test_updates_are_those_of_the_api(sim: Simulating, api: dict[str, Any], jpeg: bytes) -> None:
    everything_happens(sim, jpeg)
    body = sim.client.get(f"/bot{TOKEN}/getUpdates").json()["result"]
    kinds = {key for update in body for key in update} - {"update_id"}
    assert kinds == {
        "message",
        "edited_message",
        "callback_query",
        "inline_query",
        "chosen_inline_result",
        "my_chat_member",
    }
    assert [wrong for update in body for wrong in complaints(api, update, ["Update"])] == []
    assert [update["update_id"] for update in body] == sorted(
        {update["update_id"] for update in body}
    )


def test_a_wrong_value_is_complained_about(api: dict[str, Any]) -> None:
    right = {"id": 1, "is_bot": False, "first_name": "Ada"}
    assert complaints(api, right, ["User"]) == []
    assert complaints(api, {**right, "id": "1"}, ["User"])
    assert complaints(api, {**right, "nick": "a"}, ["User"])
    assert complaints(api, {"id": 1, "is_bot": False}, ["User"])
    assert complaints(api, [[right]], ["Array of User"])


def everything_happens(sim: Simulating, jpeg: bytes) -> None:
    """Make people do everything that they can do."""
    people, inline = sim.telegram.people, sim.telegram.inline
    ada, bob = sim.start_user(), sim.start_user("Боб", "")
    people.send_photo(ada, ada, jpeg, caption="@doggo_rehearsal_bot look")
    people.send_album(ada, ada, [jpeg, jpeg])
    for kind in ("document", "animation", "video", "voice", "sticker"):
        people.send_file(ada, ada, jpeg, kind=kind, name="a.bin", still=jpeg)
    people.send_location(ada, ada, 41.4, 2.2)
    text = people.send_text(ada, ada, "helo")
    people.edit_text(ada, text["message_id"], "hello 👋 /help")
    people.send_text(ada, ada, "this", reply_to=text["message_id"])
    people.block(bob)
    people.unblock(bob)
    group = people.add_group("Pack", [ada, bob])
    people.send_text(group, bob, "/dog@doggo_rehearsal_bot")
    buttons = {"inline_keyboard": [[{"text": "Right", "callback_data": "r"}]]}
    sent = sim.call("sendMessage", chat_id=ada, text="so?", reply_markup=buttons).json()["result"]
    people.tap(ada, ada, sent["message_id"], "r")
    inline.feedback = True
    query = inline.ask(ada, ada, "bea")
    article = {
        "type": "article",
        "id": "1",
        "title": "Beagle",
        "input_message_content": {"message_text": "Beagle"},
        "reply_markup": buttons,
    }
    assert sim.call("answerInlineQuery", inline_query_id=query, results=[article]).json()["ok"]
    chosen = inline.choose(query, "1")
    people.tap(ada, ada, chosen["message_id"], "r")
    people.expel_bot(group, ada)


def test_the_bodies_of_updates_are_json_of_one_line(sim: Simulating) -> None:
    chat = sim.start_user()
    sim.telegram.people.send_text(chat, chat, "two\nlines 👋 \u2028 and a lone \ud83d")
    answer = sim.client.get(f"/bot{TOKEN}/getUpdates").content
    assert b"\n" not in answer
    assert json.loads(answer)["ok"]
