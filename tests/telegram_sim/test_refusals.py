"""What the Bot API refuses, in its own words."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from tests.simulating import TOKEN, Simulating

TAP = {"text": "a", "callback_data": "x"}


def keyboard(*buttons: object) -> dict[str, object]:
    return {"inline_keyboard": [list(buttons)]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": ""}, "message text is empty"),
        ({"text": "  \n "}, "message text is empty"),
        ({"text": "x" * 4097}, "message is too long"),
        ({}, "message text is empty"),
        ({"text": 5}, 'argument "text" must be of type String'),
        ({"text": "x", "colour": 1}, 'the method has no argument "colour" (the real server would'),
        ({"text": "x", "parse_mode": "BBCode"}, "unsupported parse_mode"),
        ({"text": "x", "parse_mode": "MarkdownV2"}, "the simulator reads parse_mode HTML only"),
        ({"text": "<b>x", "parse_mode": "HTML"}, "can't parse entities: Can't find end tag"),
        ({"text": "x", "message_thread_id": 5}, "message thread not found"),
        ({"text": "x", "business_connection_id": "b"}, "business connection not found"),
        ({"text": "x", "direct_messages_topic_id": 1}, "the simulator has no direct messages"),
        ({"text": "x", "suggested_post_parameters": {}}, "the simulator does not imitate"),
        ({"text": "x", "reply_parameters": {"message_id": 999}}, "message to be replied not found"),
        ({"text": "x", "reply_parameters": "{"}, "can't parse reply parameters JSON object"),
        ({"text": "x", "reply_parameters": 5}, "object expected as reply parameters"),
        ({"text": "x", "reply_markup": "{"}, "can't parse reply keyboard markup JSON object"),
        ({"text": "x", "reply_markup": []}, "object expected as reply markup"),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": 1}},
            'field "inline_keyboard" must be of type Array',
        ),
        (
            {"text": "x", "reply_markup": keyboard({"callback_data": "x"})},
            "can't parse inline keyboard button: Can't find field \"text\"",
        ),
        (
            {"text": "x", "reply_markup": keyboard({"text": "x"})},
            "can't parse inline keyboard button: Text buttons are unallowed",
        ),
        (
            {"text": "x", "reply_markup": keyboard({"text": "x", "callback_data": "é" * 33})},
            "BUTTON_DATA_INVALID",
        ),
        (
            {"text": "x", "reply_markup": keyboard({"text": "x", "callback_data": ""})},
            "BUTTON_DATA_INVALID",
        ),
        (
            {"text": "x", "reply_markup": keyboard({"text": "x", "url": "javascript:alert(1)"})},
            "BUTTON_URL_INVALID",
        ),
        ({"text": "x", "reply_markup": keyboard({**TAP, "text": " "})}, "BUTTON_TEXT_INVALID"),
        ({"text": "x", "reply_markup": keyboard({**TAP, "pay": True})}, "an inline button does"),
        ({"text": "x", "reply_markup": keyboard(*[TAP] * 101)}, "reply markup is too long"),
    ],
)
def test_a_message_that_will_not_do(
    lasting_sim: Simulating, arguments: dict[str, object], words: str
) -> None:
    chat = lasting_sim.start_user()
    answer = lasting_sim.call("sendMessage", chat_id=chat, **arguments)
    assert answer.status_code == 400
    said = answer.json()
    assert said["ok"] is False
    assert said["error_code"] == 400
    assert said["description"].startswith(f"Bad Request: {words}")
    assert len(lasting_sim.telegram.state.rooms[chat].messages) == 1  # only /start


def test_what_is_just_short_enough_is_taken(lasting_sim: Simulating) -> None:
    chat = lasting_sim.start_user()
    assert lasting_sim.call("sendMessage", chat_id=chat, text="x" * 4096).json()["ok"]
    full = "<b>" + "&lt;" * 4096 + "</b>"  # counted after the tags are read
    assert lasting_sim.call("sendMessage", chat_id=chat, text=full, parse_mode="html").json()["ok"]
    markup = keyboard({"text": "x", "callback_data": "é" * 32}, *[TAP] * 99)
    assert lasting_sim.call("sendMessage", chat_id=chat, text="x", reply_markup=markup).json()["ok"]
    reply = {"message_id": 999, "allow_sending_without_reply": True}
    sent = lasting_sim.call("sendMessage", chat_id=chat, text="x", reply_parameters=reply).json()[
        "result"
    ]
    assert "reply_to_message" not in sent


def test_chats_that_the_bot_may_not_write_to(sim: Simulating) -> None:
    people = sim.telegram.people

    def refusal(chat_id: object) -> tuple[int, str]:
        answer = sim.call("sendMessage", chat_id=chat_id, text="x")
        return answer.status_code, answer.json()["description"]

    unmet = people.add_user()["id"]
    assert refusal(unmet) == (403, "Forbidden: bot can't initiate conversation with a user")
    ada = sim.start_user()
    people.block(ada)
    assert refusal(ada) == (403, "Forbidden: bot was blocked by the user")
    group = people.add_group("Pack", [ada])
    people.expel_bot(group, ada)
    assert refusal(group) == (403, "Forbidden: bot was kicked from the supergroup chat")
    assert refusal(12345) == (400, "Bad Request: chat not found")
    assert refusal("@nobody") == (400, "Bad Request: chat not found")
    assert refusal("") == (400, "Bad Request: chat_id is empty")


def test_edits(sim: Simulating) -> None:
    chat = sim.start_user()
    sent = sim.call("sendMessage", chat_id=chat, text="so").json()["result"]["message_id"]

    def edit(method: str, message_id: int = sent, **arguments: object) -> Any:
        return sim.call(method, chat_id=chat, message_id=message_id, **arguments).json()

    same = edit("editMessageText", text="<b></b>so", parse_mode="HTML")
    assert same["description"].startswith("Bad Request: message is not modified: specified new")
    assert edit("editMessageText", text="<b>so</b>", parse_mode="HTML")["ok"]
    assert edit("editMessageText", text="<b>so</b>", parse_mode="HTML")["error_code"] == 400
    assert edit("editMessageReplyMarkup", reply_markup=keyboard(TAP))["ok"]
    gone = edit("editMessageText", text="so")  # an edit without buttons takes them away
    assert "reply_markup" not in gone["result"]
    assert gone["result"]["edit_date"] > 0
    assert edit("editMessageText", 999, text="x")["description"].endswith("to edit not found")
    theirs = edit("editMessageText", 1, text="x")
    assert theirs["description"] == "Bad Request: message can't be edited"
    no_caption = edit("editMessageCaption", caption="x")
    assert no_caption["description"].endswith("no caption in the message to edit")
    rich = edit("editMessageText", rich_message={})
    assert rich["description"].startswith("Bad Request: the simulator does not imitate")
    no_message = sim.call("editMessageText", chat_id=chat, text="x").json()
    assert no_message["description"] == "Bad Request: message identifier is not specified"


def test_deleting(lasting_sim: Simulating) -> None:
    people = lasting_sim.telegram.people
    ada = lasting_sim.start_user()
    group = people.add_group("Pack", [ada])
    theirs = people.send_text(group, ada, "mine")["message_id"]
    own = lasting_sim.call("sendMessage", chat_id=group, text="so").json()["result"]["message_id"]

    def delete(message_id: int) -> Any:
        return lasting_sim.call("deleteMessage", chat_id=group, message_id=message_id).json()

    assert delete(theirs)["description"] == "Bad Request: message can't be deleted"
    assert delete(own)["ok"]
    assert delete(own)["description"] == "Bad Request: message to delete not found"


def test_a_tap_is_answered_once_and_in_time() -> None:
    now = [1_000_000.0]
    with Simulating(clock=lambda: now[0]) as sim:
        chat = sim.start_user()
        sent = sim.call("sendMessage", chat_id=chat, text="so", reply_markup=keyboard(TAP)).json()
        message = sent["result"]["message_id"]
        too_old = (
            "Bad Request: query is too old and response timeout expired or query ID is invalid"
        )

        def answer(query: str, text: str = "ok") -> str:
            said = sim.call("answerCallbackQuery", callback_query_id=query, text=text).json()
            return str(said.get("description", "done"))

        first = sim.telegram.people.tap(chat, chat, message, "x")
        assert answer(first, "x" * 201) == "Bad Request: MESSAGE_TOO_LONG"
        assert answer(first) == "done"
        assert answer(first) == too_old
        late = sim.telegram.people.tap(chat, chat, message, "x")
        now[0] += 151
        assert answer(late) == too_old
        assert answer("nonsense") == too_old


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([{"type": "article", "id": "1"}], "can't parse inline query result: Can't find field"),
        ([{"type": "gif", "id": "1"}], "the simulator does not imitate"),
        ("nonsense", "can't parse JSON encoded inline query results"),
    ],
)
def test_results_that_will_not_do(lasting_sim: Simulating, results: object, words: str) -> None:
    chat = lasting_sim.start_user()
    query = lasting_sim.telegram.inline.ask(chat, chat, "b")
    said = lasting_sim.call("answerInlineQuery", inline_query_id=query, results=results).json()
    assert said["description"].lower().startswith(f"bad request: {words}".lower())


def test_results_have_ids_of_their_own_and_are_not_too_many(lasting_sim: Simulating) -> None:
    chat = lasting_sim.start_user()
    query = lasting_sim.telegram.inline.ask(chat, chat, "b")

    def offer(ids: list[str], title: str = "t", text: str = "x") -> str:
        content = {"message_text": text}
        results = [
            {"type": "article", "id": one, "title": title, "input_message_content": content}
            for one in ids
        ]
        said = lasting_sim.call("answerInlineQuery", inline_query_id=query, results=results).json()
        return str(said.get("description", "done"))

    assert offer(["1", "1"]) == "Bad Request: RESULT_ID_DUPLICATE"
    assert offer([str(one) for one in range(51)]) == "Bad Request: RESULTS_TOO_MUCH"
    assert offer(["x" * 65]) == "Bad Request: RESULT_ID_INVALID"
    assert offer(["1"], title=" ") == "Bad Request: ARTICLE_TITLE_EMPTY"
    assert offer(["1"], text="") == "Bad Request: message text is empty"
    assert offer(["1", "2"]) == "done"


def test_the_token_and_the_method_must_be_right(lasting_sim: Simulating) -> None:
    wrong = lasting_sim.client.get("/bot1:wrong/getMe")
    assert wrong.status_code == 401
    assert wrong.json() == {"ok": False, "error_code": 401, "description": "Unauthorized"}
    unknown = lasting_sim.call("sendTelepathy")
    assert unknown.status_code == 404
    assert unknown.json()["description"] == "Not Found: method not found"
    assert lasting_sim.client.get("/file/bot1:wrong/photos/a.jpg").status_code == 401
    assert lasting_sim.client.get(f"/file/bot{TOKEN}/photos/a.jpg").status_code == 404


def test_arguments_come_in_every_way_that_the_api_allows(lasting_sim: Simulating) -> None:
    chat = lasting_sim.start_user()
    path = f"/bot{TOKEN}/SENDmessage"  # case does not matter
    given = {"chat_id": str(chat), "text": "hi", "disable_notification": "true"}
    assert lasting_sim.client.get(path, params=given).json()["ok"]
    assert lasting_sim.client.post(path, data=given).json()["ok"]
    parts = {"text": (None, "hi")}
    assert lasting_sim.client.post(path, files=parts, params={"chat_id": chat}).json()["ok"]
    assert lasting_sim.client.post(path, json={**given, "caption": None}).json()["ok"]
    for body in (b"[1]", b"{", b"\xff"):
        headers = {"Content-Type": "application/json"}
        broken = lasting_sim.client.post(path, content=body, headers=headers)
        assert broken.json()["description"].startswith("Bad Request: can't parse request")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    broken = lasting_sim.client.post(path, content=b"--y\r\nnonsense", headers=headers)
    assert broken.status_code == 400


def test_a_huge_request_is_refused_before_it_is_read(lasting_sim: Simulating) -> None:
    address = lasting_sim.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.putrequest("POST", f"/bot{TOKEN}/sendMessage")
    connection.putheader("Content-Length", str(51 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_commands_and_descriptions_have_rules(lasting_sim: Simulating) -> None:
    def said(method: str, **arguments: object) -> str:
        return str(lasting_sim.call(method, **arguments).json().get("description", "done"))

    one = {"command": "start", "description": "d"}
    assert said("setMyCommands", commands=[{**one, "command": "Start"}]).endswith("COMMAND_INVALID")
    assert said("setMyCommands", commands=[{**one, "description": ""}]).endswith("ION_INVALID")
    assert said("setMyCommands", commands=[one] * 101).endswith("BOT_COMMANDS_TOO_MUCH")
    assert said("setMyCommands", commands=[one], scope={"type": "moon"}).endswith("specified")
    assert said("setMyCommands", commands=[one], scope={"type": "chat"}).endswith('"chat_id"')
    assert said("getMyCommands", language_code="deu").startswith("Bad Request: BOT_COMMAND_LANG")
    assert said("setMyDescription", description="x" * 513).endswith("TOO_LONG")
    assert said("setMyShortDescription", short_description="x" * 121).endswith("TOO_LONG")


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("ftp://here/", "", "invalid webhook URL specified"),
        ("nonsense", "", "invalid webhook URL specified"),
        ("http://here\r\nX: y/", "", "invalid webhook URL specified"),
        ("http://127.0.0.1:99999/", "", "invalid webhook URL specified"),
        ("http://127.0.0.1/", "x" * 257, "secret token is too long"),
        ("http://127.0.0.1/", "naïve", "secret token contains unallowed characters"),
    ],
)
def test_webhooks_that_will_not_do(
    lasting_sim: Simulating, url: str, secret: str, words: str
) -> None:
    answer = lasting_sim.call("setWebhook", url=url, secret_token=secret).json()
    assert answer["description"] == f"Bad Request: {words}"
    assert lasting_sim.call("getWebhookInfo").json()["result"]["url"] == ""


def test_close_is_refused_in_the_first_ten_minutes() -> None:
    now = [1_000_000.0]
    with Simulating(clock=lambda: now[0]) as sim:
        assert sim.call("close").headers["retry-after"] == "600"
        now[0] += 601
        assert sim.call("close").json()["ok"]
