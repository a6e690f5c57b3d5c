"""The calls of the Bot API over real loopback HTTP, and what each failure of them means."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.canned import Answer, Canned
from tests.simulating import TOKEN, Simulating
from tests.tiny_bundle import picture

from doggo.bot import commands
from doggo.bot.client import (
    CallError,
    Client,
    FileGoneError,
    FileTooBigError,
    Trouble,
)
from doggo.bot.incoming import ALLOWED_UPDATES
from doggo.core.chat import FileRef, JsonValue, Method
from doggo.telegram_sim import faults
from doggo.telegram_sim.faults import Fault

SECRET = "s" * 32
CHAT = 1001
BUTTONS: dict[str, JsonValue] = {"inline_keyboard": [[{"text": "a", "callback_data": "1"}]]}


@pytest.fixture(scope="module")
def simulating() -> Iterator[Simulating]:
    with Simulating(enforce_limits=False) as running:
        yield running


@pytest.fixture
def sim(simulating: Simulating) -> Iterator[Simulating]:
    """The simulator with one person, who has written to the bot; everything goes well."""
    if CHAT not in simulating.telegram.state.users:
        simulating.start_user()
    simulating.call("deleteWebhook", drop_pending_updates=True)
    yield simulating
    simulating.telegram.faults.clear()
    simulating.telegram.backlog.allow([])


def asking(
    url: str, ask: Callable[[Client], Awaitable[Any]], token: str = TOKEN, patience_s: float = 5
) -> Any:
    async def ask_once() -> Any:
        async with Client(token, url, patience_s=patience_s) as client:
            return await ask(client)

    return asyncio.run(ask_once())


def said(chat: int = CHAT, text: str = "hello", **more: JsonValue) -> dict[str, JsonValue]:
    return {"chat_id": chat, "text": text, "parse_mode": "HTML", **more}


def refused(url: str, ask: Callable[[Client], Awaitable[Any]], **given: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        asking(url, ask, **given)
    return caught.value


def sends(client: Client) -> Awaitable[None]:
    return client.call(Method.SEND_MESSAGE, said())


def last_message(sim: Simulating) -> Any:
    return list(sim.telegram.state.rooms[CHAT].messages.values())[-1]


def test_it_knows_its_name(sim: Simulating) -> None:
    me = asking(sim.url, Client.name)
    assert (me.bot_id, me.username, me.searchable) == (424242, "doggo_rehearsal_bot", True)


def test_every_call_of_the_outbox_arrives(sim: Simulating) -> None:
    async def scenario(client: Client) -> None:
        arguments = said(text="<b>a</b> &amp; b", reply_markup=BUTTONS)
        await client.call(Method.SEND_MESSAGE, arguments)
        assert "chat_id" in arguments, "the caller's arguments were changed"
        sent = last_message(sim)
        assert sent["text"] == "a & b"
        place: dict[str, JsonValue] = {"chat_id": CHAT, "message_id": sent["message_id"]}
        tap = sim.telegram.people.tap(CHAT, CHAT, sent["message_id"], "1")
        await client.call(Method.ANSWER_TAP, {"callback_query_id": tap, "text": "thanks"})
        more: dict[str, JsonValue] = {"inline_keyboard": [[{"text": "b", "callback_data": "2"}]]}
        await client.call(Method.EDIT_BUTTONS, {**place, "reply_markup": more})
        assert last_message(sim)["reply_markup"] == more
        await client.call(Method.EDIT_TEXT, {**place, "text": "<i>c</i>", "parse_mode": "HTML"})
        assert last_message(sim)["text"] == "c"
        query = sim.telegram.inline.ask(CHAT, CHAT, "bea")
        found: JsonValue = {
            "type": "article",
            "id": "beagle",
            "title": "Beagle",
            "input_message_content": {"message_text": "Beagle"},
        }
        answer: dict[str, JsonValue] = {"inline_query_id": query, "results": [found]}
        await client.call(Method.ANSWER_SEARCH, answer)
        assert [one["id"] for one in sim.telegram.inline.results(query) or ()] == ["beagle"]

    asking(sim.url, scenario)


def test_every_method_of_the_contract_can_be_called(sim: Simulating) -> None:
    for method in Method:
        assert refused(sim.url, lambda c, m=method: c.call(m, {})).trouble is Trouble.REFUSED


def test_a_result_that_no_type_could_read_counts_as_sent() -> None:
    """It was sent: as an error it would be sent again, for a day."""
    odd = b'{"ok":true,"result":{"message_id":"not a number","new":[{}]}}'
    with Canned({"/sendMessage": (200, odd)}) as server:
        asking(server.url, sends)


def test_typing_shows_in_the_chat_and_topic(sim: Simulating) -> None:
    asking(sim.url, lambda client: client.typing(CHAT, None))
    assert sim.telegram.calls[-1].method == "sendChatAction"
    assert sim.telegram.calls[-1].arguments["action"] == "typing"
    with Canned({"/sendChatAction": (200, b'{"ok":true,"result":true}')}) as server:
        asking(server.url, lambda client: client.typing(CHAT, 7))


def test_the_commands_are_shown(sim: Simulating) -> None:
    async def scenario(client: Client) -> None:
        for menu in commands.menus():
            await client.set_commands(menu)

    asking(sim.url, scenario)
    assert {key.language for key in sim.telegram.state.commands} >= {"", "de", "es", "ru", "zh"}


def test_the_webhook_is_set_looked_at_and_dropped(sim: Simulating) -> None:
    async def scenario(client: Client) -> None:
        await client.set_webhook("https://dogs.example.org/telegram/webhook", SECRET)
        hook = sim.telegram.hooks.current
        assert hook is not None
        assert hook.secret == SECRET
        assert sim.telegram.backlog.allowed == frozenset(ALLOWED_UPDATES)
        known = await client.webhook()
        assert known.url == "https://dogs.example.org/telegram/webhook"
        await client.drop_webhook()
        assert (await client.webhook()).url == ""
        with pytest.raises(CallError) as caught:
            await client.set_webhook("no address", SECRET)
        assert caught.value.trouble is Trouble.REFUSED

    asking(sim.url, scenario)


def test_updates_come_as_they_are_and_are_confirmed_by_the_offset(sim: Simulating) -> None:
    broken = {"update_id": 7_000_000_000, "message": {"date": "never", "from": {"id": "x"}}}

    async def scenario(client: Client) -> None:
        sim.telegram.people.send_text(CHAT, CHAT, "hello")
        sim.telegram.backlog.add_raw(json.dumps(broken).encode(), chat_id=CHAT)
        found = await client.updates(None, 1)
        assert found[-1] == broken, "the types of the library had a say"
        assert await client.updates(None, 0) == found, "taken back before they were stored"
        assert await client.updates(7_000_000_001, 0) == []
        assert await client.updates(None, 0) == []

    asking(sim.url, scenario)


def test_waiting_for_updates_outlasts_the_patience_of_other_calls(sim: Simulating) -> None:
    async def scenario(client: Client) -> None:
        began = time.monotonic()
        assert await client.updates(None, 1) == []
        assert time.monotonic() - began > 0.9

    asking(sim.url, scenario, patience_s=0.4)


def test_a_photo_is_downloaded(sim: Simulating) -> None:
    data = picture((10, 20, 230))
    stored = sim.telegram.state.store(data, "image/png")
    file = FileRef(file_id=stored.file_id, size_bytes=len(data))
    assert asking(sim.url, lambda client: client.download(file)) == data


def test_files_over_the_limit_are_told_with_and_without_asking(sim: Simulating) -> None:
    stored = sim.telegram.state.store(b"x", "image/png", size_bytes=20 * 2**20 + 1)
    for announced in (stored.size_bytes, None):
        file = FileRef(file_id=stored.file_id, size_bytes=announced)
        with pytest.raises(FileTooBigError):
            asking(sim.url, lambda client, file=file: client.download(file))
    assert [call.method for call in sim.telegram.calls].count("getFile") >= 1


@pytest.mark.parametrize("file_id", ["gone", "../../etc/passwd", "é\n", "x" * 512])
def test_a_file_that_telegram_does_not_know_is_gone(sim: Simulating, file_id: str) -> None:
    with pytest.raises(FileGoneError):
        asking(sim.url, lambda client: client.download(FileRef(file_id=file_id)))


def test_a_file_that_went_between_the_two_calls_is_gone(sim: Simulating) -> None:
    stored = sim.telegram.state.store(picture((1, 2, 3)), "image/png")
    del sim.telegram.state.paths[stored.path]
    with pytest.raises(FileGoneError):
        asking(sim.url, lambda client: client.download(FileRef(file_id=stored.file_id)))


@pytest.mark.parametrize(
    "trouble", [faults.Trouble.TRUNCATED, faults.Trouble.SERVER_ERROR, faults.Trouble.HANG]
)
def test_a_file_that_does_not_come_whole_is_worth_another_try(
    sim: Simulating, trouble: faults.Trouble
) -> None:
    data = picture((1, 2, 3))
    stored = sim.telegram.state.store(data, "image/png")
    file = FileRef(file_id=stored.file_id)
    sim.telegram.faults.add(Fault(trouble=trouble, method="download", seconds=0.1))
    assert refused(sim.url, lambda client: client.download(file)).trouble is Trouble.AWAY
    assert asking(sim.url, lambda client: client.download(file)) == data


def test_a_file_shorter_than_announced_is_worth_another_try() -> None:
    told = {"file_id": "f", "file_unique_id": "u", "file_size": 10, "file_path": "photos/a.png"}
    answers = {
        "/getFile": (200, json.dumps({"ok": True, "result": told}).encode()),
        "/a.png": (200, b"12345"),
    }
    with Canned(answers) as server:
        error = refused(server.url, lambda client: client.download(FileRef(file_id="f")))
    assert error.trouble is Trouble.AWAY
    del told["file_path"]
    answers["/getFile"] = (200, json.dumps({"ok": True, "result": told}).encode())
    with Canned(answers) as server, pytest.raises(FileGoneError):
        asking(server.url, lambda client: client.download(FileRef(file_id="f")))


def test_too_many_messages_tell_how_long_to_wait(sim: Simulating) -> None:
    sim.telegram.faults.add(Fault(trouble=faults.Trouble.TOO_MANY, retry_after_s=17))
    error = refused(sim.url, sends)
    assert (error.trouble, error.retry_after_s) == (Trouble.FLOOD, 17.0)


def test_a_chat_that_blocked_us(sim: Simulating) -> None:
    blocker = sim.start_user("Bo")
    sim.telegram.people.block(blocker)
    error = refused(sim.url, lambda c: c.call(Method.SEND_MESSAGE, said(blocker)))
    assert error.trouble is Trouble.BLOCKED


@pytest.mark.parametrize(
    "arguments", [said(424_243), said(text=""), said(text="<b>a"), said(text="a" * 4097)]
)
def test_wrong_calls_are_refused_with_telegrams_words(
    sim: Simulating, arguments: dict[str, JsonValue]
) -> None:
    error = refused(sim.url, lambda c: c.call(Method.SEND_MESSAGE, arguments))
    assert error.trouble is Trouble.REFUSED
    assert error.words


@pytest.mark.parametrize("token", ["424242:wrong", "nonsense", "1:2/../x", "é"])
def test_a_wrong_token(sim: Simulating, token: str) -> None:
    assert refused(sim.url, Client.name, token=token).trouble is Trouble.TOKEN


def test_an_empty_token_is_none() -> None:
    with pytest.raises(CallError) as caught:
        Client("")
    assert caught.value.trouble is Trouble.TOKEN


def test_both_conflicts_of_polling(sim: Simulating) -> None:
    async def two(client: Client) -> None:
        first = asyncio.create_task(client.updates(None, 5))
        async with Client(TOKEN, sim.url) as other:
            while not first.done():
                await other.updates(None, 0)
        await first

    error = refused(sim.url, two)
    assert error.trouble is Trouble.CONFLICT
    assert "webhook" not in error.words
    asking(sim.url, lambda client: client.set_webhook("https://a.example.org/x", SECRET))
    error = refused(sim.url, lambda client: client.updates(None, 0))
    assert error.trouble is Trouble.CONFLICT
    assert "webhook" in error.words


def test_a_group_that_migrated() -> None:
    body = {
        "ok": False,
        "error_code": 400,
        "description": "Bad Request: group chat was upgraded to a supergroup chat",
        "parameters": {"migrate_to_chat_id": -1001234567890},
    }
    with Canned({"/sendMessage": (400, json.dumps(body).encode())}) as server:
        error = refused(server.url, sends)
    assert (error.trouble, error.new_chat_id) == (Trouble.MOVED, -1001234567890)


@pytest.mark.parametrize("trouble", [faults.Trouble.SERVER_ERROR, faults.Trouble.HANG])
def test_telegram_is_away(sim: Simulating, trouble: faults.Trouble) -> None:
    sim.telegram.faults.add(Fault(trouble=trouble, seconds=0.1))
    assert refused(sim.url, sends).trouble is Trouble.AWAY


def test_silence_is_not_waited_for_beyond_patience(sim: Simulating) -> None:
    sim.telegram.faults.add(Fault(trouble=faults.Trouble.HANG, seconds=3))
    began = time.monotonic()
    assert refused(sim.url, sends, patience_s=0.3).trouble is Trouble.AWAY
    assert time.monotonic() - began < 1.5


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert refused(url, Client.name).trouble is Trouble.AWAY


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>a captive portal</html>"),
        (200, b'{"ok": true}'),
        (200, b'{"ok": true, "result": {"id": 1}}'),
        (200, b"[]"),
        (200, b"\xff\xfe"),
        (502, b"<html>Bad Gateway</html>"),
        (302, b""),
        (418, b'{"ok": false}'),
    ],
)
def test_what_is_no_answer_of_telegram_is_an_error_of_ours(answer: Answer) -> None:
    with Canned({"/getMe": answer}) as server:
        assert refused(server.url, Client.name).trouble is Trouble.AWAY


def test_the_machines_proxy_is_not_asked_for_loopback(
    sim: Simulating, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert asking(sim.url, Client.name).bot_id == 424242


def test_neither_token_nor_words_nor_addresses_are_ever_told(
    sim: Simulating, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    stored = sim.telegram.state.store(picture((1, 2, 3)), "image/png")

    async def scenario(client: Client) -> None:
        await client.call(Method.SEND_MESSAGE, said(text="these words"))
        await client.download(FileRef(file_id=stored.file_id))
        await client.updates(None, 0)
        await client.set_webhook("https://dogs.example.org/x", SECRET)
        for trouble in (faults.Trouble.SERVER_ERROR, faults.Trouble.HANG, faults.Trouble.LOST):
            sim.telegram.faults.add(Fault(trouble=trouble, seconds=0.1))
            with pytest.raises(CallError) as caught:
                await client.call(Method.SEND_MESSAGE, said(text="these words"))
            told.append(f"{caught.value!r} {caught.value.words}")

    asking(sim.url, scenario)
    told.append(str(refused("http://127.0.0.1:9", Client.name)))
    told.append(str(refused(sim.url, Client.name, token="424242:wrong-token")))  # noqa: S106
    with Canned({"/getMe": (200, b'{"ok": "these words')}) as server:
        told.append(str(refused(server.url, Client.name)))
    # uvicorn is the other side here: what the simulator's own server logs.
    ours = [record for record in caplog.records if not record.name.startswith("uvicorn")]
    told += [record.getMessage() for record in ours]
    for secret in (TOKEN, TOKEN.partition(":")[2], "wrong-token", "these words", SECRET):
        assert not [line for line in told if secret in line]
    assert not [line for line in told if "127.0.0.1:" in line and "/bot" in line]
