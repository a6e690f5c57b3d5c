"""A tiny bot on python-telegram-bot, to drive the simulator's page with: it echoes and counts."""

from __future__ import annotations

import asyncio
import threading

from telegram import (
    Bot,
    BotCommand,
    CallbackQuery,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQuery,
    InlineQueryResultArticle,
    InputTextMessageContent,
    Message,
    ReplyParameters,
    Update,
)
from telegram.error import TelegramError
from telegram.helpers import escape
from tests.simulating import TOKEN, Simulating

_BREEDS = ["Beagle", "Border Collie", "Boxer", "Pug", "Samoyed"]


class RehearsingBot:
    """The bot while the `with` block lasts; it polls in a thread of its own."""

    def __init__(self, simulating: Simulating) -> None:
        self._urls = {
            "base_url": simulating.bot_url,
            "base_file_url": f"{simulating.url}/file/bot",
        }
        self._telegram = simulating.telegram
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._poll()))

    def __enter__(self) -> RehearsingBot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._telegram.close()  # ends the poll that waits
        self._thread.join()

    async def _poll(self) -> None:
        async with Bot(TOKEN, **self._urls) as bot:
            await bot.set_my_commands([BotCommand("start", "Begin"), BotCommand("pat", "Good bot")])
            offset = 0
            while not self._ended.is_set():
                try:
                    updates = await bot.get_updates(offset=offset, timeout=1)
                except TelegramError:
                    return  # the simulator ended first
                for update in updates:
                    offset = update.update_id + 1
                    await _answer(bot, update)


async def _answer(bot: Bot, update: Update) -> None:
    if update.callback_query:
        await _tapped(update.callback_query)
    elif update.inline_query:
        await _searched(update.inline_query)
    elif update.message and not update.message.via_bot:
        await _written(bot, update.message)


async def _tapped(query: CallbackQuery) -> None:
    if query.data == "alert":
        await query.answer("Are you sure?", show_alert=True)
        return
    await query.answer("Thank you!")
    assert isinstance(query.message, Message)
    await query.message.edit_text("You said it is <b>right</b>.", parse_mode="HTML")


async def _searched(query: InlineQuery) -> None:
    found = [breed for breed in _BREEDS if query.query.lower() in breed.lower()]
    await query.answer(
        [
            InlineQueryResultArticle(
                breed, breed, InputTextMessageContent(f"It is a {breed}"), description="a breed"
            )
            for breed in found
        ]
    )


async def _written(bot: Bot, message: Message) -> None:
    await bot.send_chat_action(message.chat_id, "typing")
    reply = ReplyParameters(message.message_id)
    if message.photo:
        file = await bot.get_file(message.photo[-1].file_id)
        data = await file.download_as_bytearray()
        buttons = [
            [InlineKeyboardButton("Right", callback_data="right")],
            [
                InlineKeyboardButton("Sure?", callback_data="alert"),
                InlineKeyboardButton("Search", switch_inline_query_current_chat=""),
            ],
        ]
        text = (
            f"<b>I see a photo</b> of {message.photo[-1].width} px\n"
            f"<code>▰▰▰▰▰▰▰▱▱▱</code> 71 % Beagle\n<code>▰▰▱▱▱▱▱▱▱▱</code> 18 % Basset\n"
            f"<i>{len(data)} bytes</i>, see /pat"
        )
        await message.reply_text(
            text,
            parse_mode="HTML",
            reply_parameters=reply,
            reply_markup=InlineKeyboardMarkup(buttons),
        )
    elif message.text == "/slow":
        await asyncio.sleep(1)
        await message.reply_text("That took a while.")
    elif message.text:
        await message.reply_text(f"You said: <pre>{escape(message.text)}</pre>", parse_mode="HTML")
