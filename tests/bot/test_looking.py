"""One photo is fetched and looked at: what goes wrong with it is an outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.simulating import TOKEN, Simulating
from tests.tiny_bundle import picture

from doggo.bot.client import CallError, Client
from doggo.bot.looking import Looking
from doggo.core.chat import ChatKind, FileRef, Incoming, Kind, Look, Refusal
from doggo.core.errors import BusyError, NoModelError, PhotoError, Rejection
from doggo.core.records import BreedProbability, ModelRef, Prediction, Verdict
from doggo.telegram_sim import faults
from doggo.telegram_sim.faults import Fault

PREDICTION = Prediction(
    prediction_id="0" * 32,
    model=ModelRef(name="colour", version=1, sha256="0" * 64),
    verdict=Verdict.BREED,
    breeds=(BreedProbability(breed="beagle", probability=0.9),),
    dog_mass=0.9,
    latency_ms=1.0,
)
PICTURE = picture((20, 230, 20))


@pytest.fixture(scope="module")
def running() -> Iterator[Simulating]:
    with Simulating(enforce_limits=False) as started:
        yield started


@pytest.fixture
def sim(running: Simulating) -> Iterator[Simulating]:
    yield running
    running.telegram.faults.clear()


def looking(
    sim: Simulating,
    predict: Callable[[bytes], Awaitable[Prediction]],
    *,
    data: bytes = PICTURE,
    size_bytes: int | None = None,
    is_gone: bool = False,
    **given: float,
) -> tuple[Look, list[dict[str, object]]]:
    """Look at a photo; returns what came of it and the typing that was shown."""
    user = sim.start_user()
    stored = sim.telegram.state.store(data, "image/png", size_bytes=size_bytes)
    if is_gone:
        del sim.telegram.state.paths[stored.path]
    incoming = Incoming(
        update_id=1,
        kind=Kind.PHOTO,
        chat_id=user,
        chat_kind=ChatKind.PRIVATE,
        user_id=user,
        file=FileRef(file_id=stored.file_id),
    )

    async def scenario() -> Look:
        async with Client(TOKEN, sim.url, patience_s=5) as client:
            look = await Looking(client, predict, **given).look(incoming)
            await asyncio.sleep(0.05)
            return look

    look = asyncio.run(scenario())
    calls = [one for one in sim.telegram.calls if one.method == "sendChatAction"]
    return look, [dict(one.arguments) for one in calls if one.chat_id == user]


async def at_once(data: bytes) -> Prediction:
    assert data == PICTURE
    return PREDICTION


def after(pause_s: float) -> Callable[[bytes], Awaitable[Prediction]]:
    async def predict(_: bytes) -> Prediction:
        await asyncio.sleep(pause_s)
        return PREDICTION

    return predict


def failing(error: Exception) -> Callable[[bytes], Awaitable[Prediction]]:
    async def predict(_: bytes) -> Prediction:
        raise error

    return predict


def test_a_quick_answer_shows_no_typing(sim: Simulating) -> None:
    look, typing = looking(sim, at_once, typing_after_s=5.0)  # a busy machine is no slow answer
    assert look.outcome == PREDICTION
    assert typing == []


def test_what_takes_longer_shows_it_once_after_a_moment(sim: Simulating) -> None:
    began = sim.telegram.clock()
    look, typing = looking(sim, after(0.7))
    assert look.outcome == PREDICTION
    assert [one["action"] for one in typing] == ["typing"]
    shown = next(c.at for c in reversed(sim.telegram.calls) if c.method == "sendChatAction")
    assert shown - began >= 0.3


def test_a_slow_download_shows_it_too(sim: Simulating) -> None:
    slow = Fault(trouble=faults.Trouble.SLOW, method="download", seconds=0.5)
    sim.telegram.faults.add(slow)
    assert len(looking(sim, at_once)[1]) == 1


def test_typing_that_fails_costs_no_answer(sim: Simulating) -> None:
    broken = Fault(trouble=faults.Trouble.SERVER_ERROR, method="sendChatAction")
    sim.telegram.faults.add(broken)
    assert looking(sim, after(0.6))[0].outcome == PREDICTION


@pytest.mark.parametrize("rejection", Rejection)
def test_every_reason_against_a_photo_has_words_for_its_sender(
    sim: Simulating, rejection: Rejection
) -> None:
    look, _ = looking(sim, failing(PhotoError(rejection, "why")))
    assert isinstance(look.outcome, Refusal)


def test_no_model_is_told(sim: Simulating) -> None:
    assert looking(sim, failing(NoModelError("none")))[0].outcome is Refusal.NO_MODEL


def test_a_full_queue_is_waited_for_and_then_told(sim: Simulating) -> None:
    began = time.monotonic()
    look, _ = looking(sim, failing(BusyError("full")), busy_patience_s=0.4)
    assert look.outcome is Refusal.BUSY
    assert time.monotonic() - began >= 0.4


def test_a_place_that_gets_free_in_time_is_taken(sim: Simulating) -> None:
    answers: list[Exception | None] = [BusyError("full"), BusyError("full"), None]

    async def predict(_: bytes) -> Prediction:
        if (error := answers.pop(0)) is not None:
            raise error
        return PREDICTION

    assert looking(sim, predict)[0].outcome == PREDICTION


def test_a_file_over_the_limit_is_never_fetched(sim: Simulating) -> None:
    look, _ = looking(sim, at_once, size_bytes=20 * 2**20 + 1)
    assert look.outcome is Refusal.TOO_BIG


def test_a_file_that_is_gone_is_told(sim: Simulating) -> None:
    look, _ = looking(sim, at_once, is_gone=True)
    assert look.outcome is Refusal.GONE


def test_telegram_away_is_no_outcome_but_a_reason_to_try_again(sim: Simulating) -> None:
    sim.telegram.faults.add(Fault(trouble=faults.Trouble.SERVER_ERROR, method="getFile"))
    with pytest.raises(CallError):
        looking(sim, at_once)
