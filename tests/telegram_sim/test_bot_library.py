"""python-telegram-bot's own Bot against the simulator, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeChat,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    LinkPreviewOptions,
    ReplyParameters,
    Update,
)
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter
from tests.simulating import TOKEN, Simulating
from tests.telegram_sim.test_spec import everything_happens

from doggo.telegram_sim.faults import Fault, Trouble


def driven(sim: Simulating, use: Callable[[Bot], Awaitable[None]], token: str = TOKEN) -> None:
    async def main() -> None:
        files = f"{sim.url}/file/bot"
        async with Bot(token, base_url=sim.bot_url, base_file_url=files) as bot:
            await use(bot)

    asyncio.run(main())


def test_a_conversation(sim: Simulating, jpeg: bytes) -> None:
    chat = sim.start_user()
    asked = sim.telegram.people.send_photo(chat, chat, jpeg, caption="what is it?")

    async def use(bot: Bot) -> None:
        assert bot.username == "doggo_rehearsal_bot"
        [_, update] = await bot.get_updates()
        assert update.message is not None
        assert [size.width for size in update.message.photo] == [90, 320, 800, 1280]
        file = await bot.get_file(update.message.photo[-1].file_id)
        assert len(await file.download_as_bytearray()) == update.message.photo[-1].file_size
        await bot.send_chat_action(chat, "typing")
        said = await bot.send_message(
            chat,
            "<b>Beagle</b> <a href='https://a.example/'>&amp; more</a>",
            parse_mode="HTML",
            reply_parameters=ReplyParameters(update.message.message_id),
            link_preview_options=LinkPreviewOptions(is_disabled=True),
            reply_markup=InlineKeyboardMarkup([[InlineKeyboardButton("Right", callback_data="r")]]),
        )
        assert said.text_html == '<b>Beagle</b> <a href="https://a.example/">&amp; more</a>'
        assert said.reply_to_message is not None
        assert said.reply_to_message.message_id == asked["message_id"]
        sim.telegram.people.tap(chat, chat, said.message_id, "r")
        [tapped] = await bot.get_updates(offset=update.update_id + 1)
        assert tapped.callback_query is not None
        assert await tapped.callback_query.answer("Thank you")
        await said.edit_text("Basset")
        sent = await bot.send_photo(chat, jpeg, caption="<i>look</i>", parse_mode="HTML")
        again = await bot.send_photo(chat, sent.photo[-1].file_id)
        assert again.photo[-1].file_unique_id == sent.photo[-1].file_unique_id
        changed = await sent.edit_media(InputMediaPhoto(jpeg, caption="new"))
        assert not isinstance(changed, bool)
        assert changed.caption == "new"
        assert await said.delete()

    driven(sim, use)


def test_every_update_is_understood(sim: Simulating, jpeg: bytes) -> None:
    everything_happens(sim, jpeg)

    async def use(bot: Bot) -> None:
        updates = await bot.get_updates()
        assert len(updates) > 15
        kinds = {kind for update in updates for kind in Update.ALL_TYPES if getattr(update, kind)}
        assert {"message", "callback_query", "inline_query", "my_chat_member"} <= kinds
        for update in updates:
            # What the library does not know it keeps aside.
            assert not update.api_kwargs
            if update.message is not None:
                assert not update.message.api_kwargs

    driven(sim, use)


def test_its_profile(sim: Simulating) -> None:
    chat = sim.start_user()

    async def use(bot: Bot) -> None:
        commands = [BotCommand("start", "Begin")]
        assert await bot.set_my_commands(commands, scope=BotCommandScopeChat(chat))
        assert list(await bot.get_my_commands(scope=BotCommandScopeChat(chat))) == commands
        assert await bot.set_my_description("Names breeds", language_code="de")
        assert (await bot.get_my_description("de")).description == "Names breeds"
        assert await bot.set_my_short_description("Breeds")
        assert (await bot.get_my_short_description("fr")).short_description == "Breeds"
        assert await bot.set_webhook("http://127.0.0.1:9/hook", secret_token="s-1")  # noqa: S106
        assert (await bot.get_webhook_info()).url == "http://127.0.0.1:9/hook"
        assert await bot.delete_webhook()

    driven(sim, use)


def test_its_errors_are_those_of_the_real_server(
    sim: Simulating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # without it the library warns of its future
    chat = sim.start_user()

    async def use(bot: Bot) -> None:
        with pytest.raises(BadRequest, match="Chat not found"):
            await bot.send_message(5, "x")
        sim.telegram.faults.add(Fault(trouble=Trouble.TOO_MANY, retry_after_s=3))
        with pytest.raises(RetryAfter):
            await bot.send_message(chat, "x")
        sim.telegram.faults.add(Fault(trouble=Trouble.LOST))
        with pytest.raises(NetworkError):
            await bot.send_message(chat, "x")
        sim.telegram.people.block(chat)
        with pytest.raises(Forbidden):
            await bot.send_message(chat, "x")
        await bot.set_webhook("http://127.0.0.1:9/hook")
        with pytest.raises(Conflict):
            await bot.get_updates()

    driven(sim, use)


def test_a_wrong_token_is_noticed(sim: Simulating) -> None:
    async def use(bot: Bot) -> None:
        raise AssertionError("it signed in")

    with pytest.raises(InvalidToken):
        driven(sim, use, token="1:wrong")  # noqa: S106
