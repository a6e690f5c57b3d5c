"""One photo of an update is fetched and looked at; what goes wrong with it is an outcome.

Owns which refusal a person is told. The photo lives in memory and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from doggo.bot.client import CallError, Client, FileGoneError, FileTooBigError
from doggo.core.chat import Incoming, Look, Refusal
from doggo.core.errors import BusyError, NoModelError, PhotoError, Rejection
from doggo.core.records import Prediction

logger = logging.getLogger(__name__)

TYPING_AFTER_S = 0.3
BUSY_PATIENCE_S = 10.0

_REFUSALS = {
    Rejection.EMPTY: Refusal.BROKEN,
    Rejection.TOO_MANY_BYTES: Refusal.TOO_BIG,
    Rejection.NOT_A_PICTURE: Refusal.NOT_A_PICTURE,
    Rejection.TOO_MANY_PIXELS: Refusal.TOO_BIG,
    Rejection.TOO_SLOW: Refusal.BROKEN,
    Rejection.TRUNCATED: Refusal.BROKEN,
    Rejection.BROKEN: Refusal.BROKEN,
}


class Looking:
    """Fetches photos from Telegram and has them looked at.

    Args:
        predict: answers a photo's bytes; raises PhotoError, NoModelError or BusyError.
        busy_patience_s: how long a photo waits for a free place before its sender is told that
            we are busy.
        seen: given each photo with its prediction before it is answered; None: nobody.
    """

    def __init__(
        self,
        client: Client,
        predict: Callable[[bytes], Awaitable[Prediction]],
        *,
        typing_after_s: float = TYPING_AFTER_S,
        busy_patience_s: float = BUSY_PATIENCE_S,
        seen: Callable[[Incoming, bytes, Prediction], Awaitable[None]] | None = None,
    ) -> None:
        self._client, self._predict, self._seen = client, predict, seen
        self._typing_after_s, self._busy_patience_s = typing_after_s, busy_patience_s

    async def look(self, incoming: Incoming) -> Look:
        """Return what came of looking at the photo of an update.

        Raises:
            CallError: Telegram is away; the photo is still there.
        """
        typing = asyncio.create_task(self._type(incoming))
        try:
            return Look(incoming=incoming, outcome=await self._outcome(incoming))
        finally:
            typing.cancel()

    async def _outcome(self, incoming: Incoming) -> Prediction | Refusal:
        assert incoming.file is not None, "only a message with a photo is looked at"
        try:
            data = await self._client.download(incoming.file)
            prediction = await self._patiently(data)
            if self._seen is not None:
                await self._seen(incoming, data, prediction)
            return prediction
        except FileTooBigError:
            return Refusal.TOO_BIG
        except FileGoneError:
            return Refusal.GONE
        except PhotoError as error:
            return _REFUSALS[error.rejection]
        except NoModelError:
            return Refusal.NO_MODEL
        except BusyError:
            return Refusal.BUSY

    async def _patiently(self, data: bytes) -> Prediction:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._busy_patience_s
        while True:
            try:
                return await self._predict(data)
            except BusyError:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(0.1)

    async def _type(self, incoming: Incoming) -> None:
        """Show that we are at it, once it takes longer than a person notices."""
        await asyncio.sleep(self._typing_after_s)
        with contextlib.suppress(CallError):
            await self._client.typing(incoming.chat_id, incoming.thread_id)
