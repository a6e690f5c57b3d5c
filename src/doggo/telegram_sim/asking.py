"""Questions that wait for the bot: taps on buttons, and inline queries.

Owns their time, their answers, and what choosing a result sends.
"""

from __future__ import annotations

from doggo.telegram_sim.arguments import AnswerCallbackQuery, AnswerInlineQuery
from doggo.telegram_sim.backlog import LIFETIMES_S, Backlog
from doggo.telegram_sim.events import Events
from doggo.telegram_sim.inputs import InlineQueryResult, InputTextMessageContent
from doggo.telegram_sim.markup import inline_keyboard
from doggo.telegram_sim.objects import ChosenInlineResult, InlineQuery, Message, MessageEntity
from doggo.telegram_sim.people import People, WrongMoveError
from doggo.telegram_sim.records import Question
from doggo.telegram_sim.refusal import bad_request
from doggo.telegram_sim.sending import caption_of, known_photo, text_of
from doggo.telegram_sim.state import State

MOST_TOAST = 200
MOST_RESULTS = 50
MOST_QUERY = 256

_TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


def answer_tap(state: State, events: Events, wanted: AnswerCallbackQuery) -> bool:
    """Show a toast or an alert to who pressed, or just stop the button from waiting."""
    tap = state.taps.get(wanted.callback_query_id)
    if tap is None or state.now() - tap.at > LIFETIMES_S["callback_query"]:
        raise bad_request(_TOO_OLD)
    if len(wanted.text) > MOST_TOAST:
        raise bad_request("MESSAGE_TOO_LONG")
    del state.taps[wanted.callback_query_id]
    events.tell(
        "toast",
        chat_id=tap.chat_id,
        user_id=tap.user_id,
        query_id=wanted.callback_query_id,
        text=wanted.text,
        alert=wanted.show_alert,
    )
    return True


def answer_inline(state: State, events: Events, wanted: AnswerInlineQuery) -> bool:
    """Offer results to who asked."""
    question = state.questions.get(wanted.inline_query_id)
    if question is None or state.now() - question.at > LIFETIMES_S["inline_query"]:
        raise bad_request(_TOO_OLD)
    if len(wanted.results) > MOST_RESULTS:
        raise bad_request("RESULTS_TOO_MUCH")
    ids = [result["id"] for result in wanted.results]
    if len(set(ids)) != len(ids):
        raise bad_request("RESULT_ID_DUPLICATE")
    for result in wanted.results:
        _check(state, result)
    if wanted.button is not None and not wanted.button["text"].strip():
        raise bad_request("SWITCH_PM_TEXT_EMPTY")
    question.results, question.button = wanted.results, wanted.button
    events.tell(
        "results",
        chat_id=question.chat_id,
        user_id=question.user_id,
        query_id=wanted.inline_query_id,
        results=wanted.results,
        button=wanted.button,
    )
    return True


class InlineMode:
    """What people do with `@bot ...` in their text field; usable from any thread.

    Attributes:
        feedback: the bot is told which result was chosen (BotFather's setting; off by default).
    """

    def __init__(self, state: State, backlog: Backlog, people: People) -> None:
        self.feedback = False
        self._state = state
        self._backlog = backlog
        self._people = people

    def ask(self, user_id: int, chat_id: int, query: str) -> str:
        """Type an inline query in a chat; returns its id."""
        room, user = self._people.room(chat_id), self._people.user(user_id)
        query_id = str(5_000_000_000_000_000_000 + self._state.serial())
        asked: InlineQuery = {
            "id": query_id,
            "from": user,
            "query": query[:MOST_QUERY],
            "offset": "",
            "chat_type": "sender" if room.is_private else room.face["type"],
        }
        self._state.questions[query_id] = Question(user_id, chat_id, query, self._state.now())
        self._backlog.add("inline_query", asked, by=user_id, chat_id=chat_id)
        return query_id

    def results(self, query_id: str) -> list[InlineQueryResult] | None:
        """Return what the bot offered; None while it has not answered."""
        return self._question(query_id).results

    def choose(self, query_id: str, result_id: str) -> Message:
        """Send one of the results into the chat, as a message of the user via the bot."""
        question = self._question(query_id)
        chosen = next((one for one in question.results or () if one["id"] == result_id), None)
        if chosen is None:
            raise WrongMoveError(f"the bot offered no result {result_id}")
        state = self._state
        room, user = self._people.room(question.chat_id), self._people.user(question.user_id)
        message = state.new_message(room, user)
        message["via_bot"] = state.bot
        _fill(state, message, chosen)
        inline_id = f"AgIA{state.serial():012x}"
        state.inline_messages[inline_id] = (room.face["id"], message["message_id"])
        self._people.post(message)
        if self.feedback:
            told: ChosenInlineResult = {
                "result_id": result_id,
                "from": user,
                "query": question.query,
            }
            if "reply_markup" in message:
                told["inline_message_id"] = inline_id
            self._backlog.add("chosen_inline_result", told, by=user["id"], chat_id=room.face["id"])
        return message

    def _question(self, query_id: str) -> Question:
        try:
            return self._state.questions[query_id]
        except KeyError:
            raise WrongMoveError(f"there is no inline query {query_id}") from None


def _check(state: State, result: InlineQueryResult) -> None:
    if not 1 <= len(result["id"].encode(errors="surrogatepass")) <= 64:
        raise bad_request("RESULT_ID_INVALID")
    inline_keyboard(result.get("reply_markup"))
    content = result.get("input_message_content")
    if content is not None:
        _text(content)
    if "photo_file_id" in result:
        known_photo(state, result["photo_file_id"])
        caption_of(
            result.get("caption", ""), result.get("parse_mode", ""), result.get("caption_entities")
        )
    elif not result["title"].strip():
        raise bad_request("ARTICLE_TITLE_EMPTY")


def _fill(state: State, message: Message, result: InlineQueryResult) -> None:
    content = result.get("input_message_content")
    if content is not None:
        message["text"], entities = _text(content)
        if entities:
            message["entities"] = entities
    elif "photo_file_id" in result:
        state.add_photo(message, known_photo(state, result["photo_file_id"]))
        caption, entities = caption_of(
            result.get("caption", ""), result.get("parse_mode", ""), result.get("caption_entities")
        )
        if caption:
            message["caption"] = caption
            if entities:
                message["caption_entities"] = entities
    if (buttons := inline_keyboard(result.get("reply_markup"))) is not None:
        message["reply_markup"] = buttons


def _text(content: InputTextMessageContent) -> tuple[str, list[MessageEntity]]:
    return text_of(content["message_text"], content.get("parse_mode", ""), content.get("entities"))
