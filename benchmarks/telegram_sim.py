"""What the simulated Telegram can take: photos told, fetched and answered a second, on one core.

A bot's photo is getFile, the download and sendMessage. Server and client are processes of their
own; besides the wall clock the server's processor time is told, which the client cannot slow down.
The floor beside it is a bare Starlette that answers the same three requests with constants.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from doggo.apps.drawn import drawn_jpeg

UPDATES = 1000
CHATS = 200
CLIENTS = 8
TOKEN = "424242:benchmark"  # noqa: S105
AT_LEAST_PHOTOS_PER_CORE_S = 300
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Client:
    """One keep-alive connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)

    def ask(self, method: str, path: str, body: bytes = b"", headers: object = None) -> bytes:
        self._connection.request(method, path, body, headers or {})  # type: ignore[arg-type]
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200, (path, answer.status, data[:200])
        return data

    def call(self, name: str, **arguments: object) -> dict:
        body = urlencode(arguments).encode()
        return json.loads(self.ask("POST", f"/bot{TOKEN}/{name}", body, _FORM))["result"]

    def answer(self, chat: int, file_id: str) -> None:
        path = self.call("getFile", file_id=file_id)["file_path"]
        assert len(self.ask("GET", f"/file/bot{TOKEN}/{path}")) > 1000
        self.call("sendMessage", chat_id=chat, text="<b>Beagle</b> 71 %", parse_mode="HTML")


def main() -> int:
    photo = drawn_jpeg("drawn_rings", 0)
    command = ["-m", "doggo.telegram_sim", "--port", "0", "--token", TOKEN, "--no-limits"]
    with Server(command) as server:
        told_s = tell(server.url, photo)
        waiting = updates(server.url)
        assert len(waiting) == UPDATES
        wall_s, core_s = answered(server, waiting)
    with Server([__file__, "--floor"]) as floor:
        floor_wall_s, floor_core_s = answered(floor, waiting)
    rates = (UPDATES / wall_s, UPDATES / core_s)
    floors = (UPDATES / floor_wall_s, UPDATES / floor_core_s)
    good = rates[1] >= AT_LEAST_PHOTOS_PER_CORE_S
    print(f"{UPDATES} photos of {CHATS} chats told in {told_s:.2f} s ({UPDATES / told_s:.0f}/s)")
    print("photos a second (getFile, download, sendMessage)   of the wall clock   of one core")
    for name, (of_wall, of_core) in (("simulated Telegram", rates), ("bare Starlette", floors)):
        print(f"{name:<50} {of_wall:>18.0f} {of_core:>13.0f}")
    print(f"bar: {AT_LEAST_PHOTOS_PER_CORE_S} of one core: {'holds' if good else 'BELOW'}")
    return 0 if good else 1


class Server:
    """A server in a process of its own that prints its URL."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def core_s(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system


def tell(url: str, photo: bytes) -> float:
    """Make every chat send its photos; return the seconds that took."""
    client = Client(url)
    upload = json.loads(client.ask("POST", "/sim/uploads", photo))["upload"]
    users = json.loads(client.ask("POST", "/sim/do", json.dumps([{"do": "user"}] * CHATS).encode()))
    ids = [user["id"] for user in users]
    photos = [
        {"do": "photo", "chat": ids[n % CHATS], "user": ids[n % CHATS], "upload": upload}
        for n in range(UPDATES)
    ]
    started = time.perf_counter()
    client.ask("POST", "/sim/do", json.dumps(photos).encode())
    return time.perf_counter() - started


def updates(url: str) -> list[tuple[int, str]]:
    """Return chat and file of every update."""
    client, found, offset = Client(url), [], 0
    while batch := client.call("getUpdates", offset=offset):
        for update in batch:
            message = update["message"]
            found.append((message["chat"]["id"], message["photo"][-1]["file_id"]))
            offset = update["update_id"] + 1
    return found


def answered(server: Server, waiting: list[tuple[int, str]]) -> tuple[float, float]:
    """Answer everything; return the seconds of the wall clock and of the server's processor."""
    core_s, started = server.core_s(), time.perf_counter()
    shares = [waiting[place::CLIENTS] for place in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda share: work(server.url, share), shares))
    return time.perf_counter() - started, server.core_s() - core_s


def work(url: str, share: list[tuple[int, str]]) -> None:
    client = Client(url)
    for chat, file_id in share:
        client.answer(chat, file_id)


def floor() -> None:
    """Answer the same three requests with constants."""
    photo = drawn_jpeg("drawn_rings", 0)
    said = json.dumps({"ok": True, "result": {"file_path": "photos/file_1.jpg"}}).encode()

    async def call(request: Request) -> Response:
        await request.body()
        return Response(said, media_type="application/json")

    async def download(request: Request) -> Response:
        return Response(photo, media_type="application/octet-stream")

    app = Starlette(
        routes=[
            Route("/bot{token}/{method}", call, methods=["GET", "POST"]),
            Route("/file/bot{token}/{path:path}", download),
        ]
    )
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_config=None, port=0)
    with config.bind_socket() as listener:
        listener.listen()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    if "--floor" in sys.argv[1:]:
        floor()
    else:
        sys.exit(main())
