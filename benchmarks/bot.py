"""The bot beside a loop without a database: latency, a burst, sending at the limit.

A fake Telegram runs as a process of its own (`python -m doggo.telegram_sim`) and brings photos to
`doggo serve` by webhook, everything on loopback and on the same cores.

`steady`: 10 photos a second from 50 chats; from the moment a photo is brought until its answer
arrives. `burst`: 1,000 photos from 250 chats at once, over as many connections as the bot asks
Telegram for, from a light client (the fake Telegram could not keep up): how
quickly they are acknowledged (each is on the disk by then), and how quickly their answers are
committed. Its floor is the same client, fake Telegram and predictor in a loop that fetches the
same 1,000 files, looks at them and sends answers within the same limit, and has neither webhook nor
database, in turn with the bursts.
`sending`: how close to Telegram's 30 messages a second the answers of a burst leave.
Photos: DOGGO_PHOTOS or ../shared/photos, else the 20 of the foolbox package.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop

from _load import Connection
from doggo.bot.client import WEBHOOK_CONNECTIONS, Client
from doggo.bot.limits import Limits, Pace
from doggo.core.chat import FileRef, Method
from doggo.serve.batcher import Batcher
from doggo.vision.pairs import usable_pairs
from doggo.vision.predictor import Predictor
from serve import BF16, DOGGO, F32, free_port, judged, running, some_photos

TOKEN = "424242:of-the-benchmark"  # noqa: S105 - opens the fake alone
SECRET = "a-secret-of-the-benchmark"  # noqa: S105 - of this server alone
STEADY_CHATS, STEADY_PER_S = 50, 10
BURST_CHATS, BURST_PHOTOS = 250, 1000
AT_ONCE = 8  # chats whose photos are looked at together, in the bot and in the floor

P50_LIMIT_MS, P99_LIMIT_MS = 60.0, 200.0
ACKNOWLEDGED_PER_S, ACKNOWLEDGE_P99_MS = 300.0, 50.0
SHARE_OF_FLOOR, SHARE_OF_LIMIT = 0.70, 0.90
LIMIT_PER_S = 30
ANSWER = {  # about as long as a real one
    "text": "🐶 <b>Beagle</b>. I'm sure.\n\n<pre>" + "Beagle\n" + 22 * "█" + "</pre>",
    "parse_mode": "HTML",
    "reply_markup": {"inline_keyboard": [[{"text": "Right", "callback_data": 30 * "x"}]]},
}
FASTEST = BF16 if BF16 in usable_pairs() else F32  # of both sides


@dataclass(frozen=True)
class Simulator:
    """The fake Telegram, and what people do there."""

    url: str
    http: httpx.Client
    process: psutil.Process

    def do(self, *actions: dict[str, object]) -> list[Any]:
        answer = self.http.post("/sim/do", json=list(actions))
        answer.raise_for_status()
        return list(answer.json())

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        answer.raise_for_status()
        return answer.json()

    def upload(self, photo: bytes) -> str:
        return str(self.http.post("/sim/uploads", content=photo).json()["upload"])

    def calls(self, method: str, since: int = 0) -> list[Any]:
        return [one for one in self.get(f"/sim/calls?since={since}") if one["method"] == method]

    @property
    def called(self) -> int:
        return len(self.get("/sim/calls"))

    @property
    def delivered(self) -> int:
        return len(self.get("/sim/deliveries"))


@dataclass(frozen=True, kw_only=True)
class Server:
    """The bot's process."""

    port: int
    secret: str
    process: psutil.Process


@dataclass(frozen=True, kw_only=True)
class Burst:
    """What one burst gave."""

    acknowledged_per_s: float
    acknowledge_ms: list[float]
    committed_per_s: float
    sent_per_s: float
    cpu_ms: tuple[float, float]  # a photo: the bot, the fake Telegram


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of burst and floor")
    parser.add_argument("--seconds", type=float, default=60.0, help="of steady load")
    options = parser.parse_args()
    photos = some_photos(100)
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["DOGGO_HOME"] = str(home)
        subprocess.run([DOGGO, "bootstrap"], check=True, capture_output=True)
        bundle = next(home.rglob("model.onnx")).parent
        simulator = stack.enter_context(simulated())
        server = stack.enter_context(bot(simulator))
        uploads = [simulator.upload(photo) for photo in photos]
        chats = [one["id"] for one in simulator.do(*[{"do": "user"}] * BURST_CHATS)]
        introduce(simulator, chats, uploads)
        checks = steady(simulator, chats[:STEADY_CHATS], uploads, options.seconds)
        checks += bursts(simulator, server, chats, home / "bot.db", bundle, options.rounds)
    return 0 if all(checks) else 1


def introduce(simulator: Simulator, chats: Sequence[int], uploads: Sequence[str]) -> None:
    """Let everybody send a first photo, with the question for consent that follows it."""
    simulator.do(*[a_photo(chat, uploads[n % len(uploads)]) for n, chat in enumerate(chats)])
    wait_until(lambda: simulator.get("/sim/counts")["sends"] >= 2 * len(chats), 120)
    time.sleep(3.5)  # nobody's next answer waits for the limit of their chat


def steady(
    simulator: Simulator, chats: Sequence[int], uploads: Sequence[str], seconds: float
) -> list[bool]:
    calls, deliveries = simulator.called, simulator.delivered
    count = int(seconds * STEADY_PER_S)
    began = time.perf_counter()
    for n in range(count):
        time.sleep(max(0.0, began + n / STEADY_PER_S - time.perf_counter()))
        simulator.do(a_photo(chats[n % len(chats)], uploads[n % len(uploads)]))
    wait_until(lambda: len(simulator.calls("sendMessage", calls)) >= count, 60)
    answers = by_chat(simulator.calls("sendMessage", calls), "at")
    offset = time.time() - time.monotonic()  # the calls have the one clock, deliveries the other
    brought = by_chat(simulator.get(f"/sim/deliveries?since={deliveries}"), "started_at")
    waits_ms = sorted(
        1000 * (answered - offset - started)
        for chat, times in brought.items()
        for started, answered in zip(times, answers[chat], strict=True)
    )
    p50, p99 = (statistics.quantiles(waits_ms, n=100)[percent - 1] for percent in (50, 99))
    print(f"steady: {count} photos, {STEADY_PER_S}/s from {len(chats)} chats")
    return [
        judged(
            f"photo in, answer out: p50 {p50:.1f} ms", p50 < P50_LIMIT_MS, f"bar {P50_LIMIT_MS} ms"
        ),
        judged(
            f"photo in, answer out: p99 {p99:.1f} ms", p99 < P99_LIMIT_MS, f"bar {P99_LIMIT_MS} ms"
        ),
    ]


def bursts(
    simulator: Simulator,
    server: Server,
    chats: Sequence[int],
    database: Path,
    bundle: Path,
    rounds: int,
) -> list[bool]:
    """Take turns: a burst, and the floor over the files that it sent."""
    found: list[Burst] = []
    floors: list[float] = []
    alone_ms: list[tuple[float, float]] = []
    numbers = itertools.count(10**9)  # above those of the fake Telegram
    for _ in range(rounds):
        found.append(burst(simulator, server, chats, database, numbers))
        before = cpu_s(psutil.Process(), simulator.process)
        floors.append(floor(simulator, chats, bundle))
        alone_ms.append(cpu_ms(before, psutil.Process(), simulator.process))
    acknowledged = statistics.median(one.acknowledged_per_s for one in found)
    p99 = statistics.median(statistics.quantiles(one.acknowledge_ms, n=100)[98] for one in found)
    committed = statistics.median(one.committed_per_s for one in found)
    shares = [one.committed_per_s / each for one, each in zip(found, floors, strict=True)]
    share, sent = statistics.median(shares), statistics.median(one.sent_per_s for one in found)
    print(f"burst: {BURST_PHOTOS} photos from {len(chats)} chats at once, {rounds} rounds")
    alone = statistics.median(floors)
    print(f"answers committed {committed:.0f}/s; floor without a database {alone:.0f}/s")
    for what, sides in (("bot", [one.cpu_ms for one in found]), ("floor", alone_ms)):
        own, fake = (statistics.median(side) for side in zip(*sides, strict=True))
        print(f"processor time a photo: {what} {own:.1f} ms, fake Telegram {fake:.1f} ms")
    return [
        judged(
            f"acknowledged {acknowledged:.0f}/s",
            acknowledged >= ACKNOWLEDGED_PER_S,
            f"bar {ACKNOWLEDGED_PER_S:.0f}/s",
        ),
        judged(
            f"acknowledge p99 {p99:.1f} ms",
            p99 < ACKNOWLEDGE_P99_MS,
            f"bar {ACKNOWLEDGE_P99_MS} ms",
        ),
        judged(
            f"committed: {share:.2f} of the floor ({min(shares):.2f} to {max(shares):.2f})",
            share >= SHARE_OF_FLOOR,
            f"bar {SHARE_OF_FLOOR:.2f}",
        ),
        judged(
            f"sent {sent:.1f}/s of {LIMIT_PER_S}/s allowed",
            sent >= SHARE_OF_LIMIT * LIMIT_PER_S,
            f"bar {SHARE_OF_LIMIT:.2f}",
        ),
    ]


def burst(
    simulator: Simulator,
    server: Server,
    chats: Sequence[int],
    database: Path,
    numbers: Iterator[int],
) -> Burst:
    calls = simulator.called
    before, spent = answered(database), cpu_s(server.process, simulator.process)
    photos = [sizes_of(simulator, chat) for chat in chats]
    requests = [
        request_of(next(numbers), chats[n % len(chats)], photos[n % len(photos)], server.secret)
        for n in range(BURST_PHOTOS)
    ]
    began = time.monotonic()
    taken = uvloop.run(brought(server.port, requests))
    ended = time.monotonic()
    wait_until(lambda: answered(database) - before >= BURST_PHOTOS, 120, pause_s=0.02)
    committed_at = time.monotonic()
    spent_ms = cpu_ms(spent, server.process, simulator.process)
    wait_until(lambda: len(simulator.calls("sendMessage", calls)) >= BURST_PHOTOS, 120, pause_s=1)
    sent = sorted(one["at"] for one in simulator.calls("sendMessage", calls))
    assert len(taken) == len(sent) == BURST_PHOTOS
    # The last ones wait for the limit of their own chats: the limit in all shows before.
    most = sent[: BURST_PHOTOS * 4 // 5]
    return Burst(
        acknowledged_per_s=BURST_PHOTOS / (ended - began),
        acknowledge_ms=taken,
        committed_per_s=BURST_PHOTOS / (committed_at - began),
        sent_per_s=(len(most) - 1) / (most[-1] - most[0]),
        cpu_ms=spent_ms,
    )


async def brought(port: int, requests: Sequence[bytes]) -> list[float]:
    """Bring updates over as many connections as Telegram would; returns milliseconds of each."""
    latencies_ms: list[float] = []
    left = iter(requests)
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: Bringing(left, latencies_ms), "127.0.0.1", port))[1]
        for _ in range(WEBHOOK_CONNECTIONS)
    ]
    await asyncio.gather(*(one.finished for one in opened))
    assert not any(one.failed for one in opened)
    return latencies_ms


class Bringing(Connection):
    """A connection that brings the next update when the last was acknowledged."""

    def __init__(self, left: Iterator[bytes], latencies_ms: list[float]) -> None:
        super().__init__((), 0, lambda: False, latencies_ms)
        self.left = left

    def send(self) -> None:
        request = next(self.left, None)
        if request is None:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)


def sizes_of(simulator: Simulator, chat: int) -> list[dict[str, object]]:
    """Return the photo that somebody sent, as Telegram tells of it."""
    messages = simulator.get(f"/sim/chats/{chat}/messages")
    return list(next(one["photo"] for one in messages if "photo" in one))


def request_of(number: int, chat: int, photo: list[dict[str, object]], secret: str) -> bytes:
    """Return the whole request that brings one photo."""
    sender = {"id": chat, "is_bot": False, "first_name": "Ada", "language_code": "en"}
    message = {
        "message_id": number,
        "date": int(time.time()),
        "chat": {"id": chat, "type": "private", "first_name": "Ada"},
        "from": sender,
        "photo": photo,
    }
    body = json.dumps({"update_id": number, "message": message}).encode()
    return (
        b"POST /telegram/webhook HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nX-Telegram-Bot-Api-Secret-Token: %b\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (secret.encode(), len(body), body)
    )


def cpu_s(*processes: psutil.Process) -> list[float]:
    return [sum(process.cpu_times()[:2]) for process in processes]


def cpu_ms(before: Sequence[float], *processes: psutil.Process) -> tuple[float, float]:
    """Return milliseconds a photo that two processes computed since."""
    own, fake = (
        1000 * (now - then) / BURST_PHOTOS
        for now, then in zip(cpu_s(*processes), before, strict=True)
    )
    return own, fake


def floor(simulator: Simulator, chats: Sequence[int], bundle: Path) -> float:
    """Fetch and look at the files of the last burst, and answer; returns photos a second."""
    largest = [str(sizes_of(simulator, chat)[-1]["file_id"]) for chat in chats]
    files = [
        (chats[n % len(chats)], FileRef(file_id=largest[n % len(chats)]))
        for n in range(BURST_PHOTOS)
    ]
    predictor = Predictor.load(bundle, pair=FASTEST)

    async def run() -> float:
        batcher = Batcher(lambda: predictor, queue_size=64)
        waiting, answers = iter(files), asyncio.Queue[int]()

        async def look(client: Client) -> None:
            for chat, file in waiting:
                await batcher.submit(await client.download(file))
                answers.put_nowait(chat)

        async def send(client: Client) -> None:
            pace = Pace(Limits().overall)
            while True:
                arguments = {"chat_id": await answers.get(), **ANSWER}
                await asyncio.sleep(max(0.0, pace.free_at() - time.monotonic()))
                pace.take(time.monotonic())
                await client.call(Method.SEND_MESSAGE, arguments)

        async with Client(TOKEN, simulator.url) as client:
            sender = asyncio.create_task(send(client))
            began = time.perf_counter()
            await asyncio.gather(*(look(client) for _ in range(AT_ONCE)))
            seconds = time.perf_counter() - began
            sender.cancel()
        await batcher.close()
        return len(files) / seconds

    sys.setswitchinterval(0.001)
    return uvloop.run(run())


def by_chat(rows: Sequence[Any], time_of: str) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for row in rows:
        found.setdefault(row["chat_id"], []).append(row[time_of])
    return found


def answered(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        query = "SELECT count(*) FROM updates WHERE state <> 'waiting'"
        return int(opened.execute(query).fetchone()[0])


def a_photo(chat: int, upload: str) -> dict[str, object]:
    return {"do": "photo", "chat": chat, "user": chat, "upload": upload}


def wait_until(true: Any, within_s: float, pause_s: float = 0.2) -> None:
    deadline = time.perf_counter() + within_s
    while not true():
        if time.perf_counter() > deadline:
            raise SystemExit("the bot did not get there in time")
        time.sleep(pause_s)


@contextmanager
def simulated() -> Iterator[Simulator]:
    """Run the fake Telegram; sends over its limits are counted, not refused."""
    command = [sys.executable, "-m", "doggo.telegram_sim", "--port", "0", "--token", TOKEN]
    process = subprocess.Popen([*command, "--no-limits"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
            yield Simulator(url, http, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def bot(simulator: Simulator) -> Iterator[Server]:
    """Run `doggo serve` with a webhook, until Telegram knows of it."""
    port = free_port()
    environment = {
        **os.environ,
        "TELE_API_KEY": TOKEN,
        "DOGGO_TELEGRAM_URL": simulator.url,
        "DOGGO_RUNTIME": FASTEST.name,
        "DOGGO_WEBHOOK_SECRET": SECRET,
    }
    webhook = f"http://127.0.0.1:{port}"
    command = [DOGGO, "serve", "--port", str(port), "--webhook", webhook]
    with running(command, environment, port, "/readyz") as server:
        wait_until(lambda: simulator.calls("setMyCommands"), 30)
        yield Server(port=port, secret=SECRET, process=psutil.Process(server.process.pid))


if __name__ == "__main__":
    sys.exit(main())
