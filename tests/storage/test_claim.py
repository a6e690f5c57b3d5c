"""One process works; others are told who does."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import psycopg
from tests.postgres import PostgresServer

from doggo.storage.claim import Claim
from doggo.storage.engine import open_chat_database


def test_only_one_has_it_until_it_gives_it_back(chat_database: str) -> None:
    engines = [open_chat_database(chat_database) for _ in range(2)]
    first, second = (Claim(engine) for engine in engines)
    assert first.take()
    assert not second.take()
    if "sqlite" in chat_database:
        assert str(os.getpid()) in second.holder()
    first.release()
    assert second.take()
    second.release()
    for engine in engines:
        engine.dispose()


def test_who_lost_it_with_the_connection_is_told(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database("claim_lost")
    engines = [open_chat_database(url) for _ in range(2)]
    first, second = (Claim(engine) for engine in engines)
    assert first.take()
    assert first.holds()
    assert not second.holds()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
    assert not first.holds()
    first.release()
    assert second.take()
    assert not first.take()
    second.release()
    for engine in engines:
        engine.dispose()


def test_what_one_thread_took_another_may_give_back(chat_database: str) -> None:
    engines = [open_chat_database(chat_database) for _ in range(2)]
    first, second = (Claim(engine) for engine in engines)
    with ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(first.take).result(10)
        first.release()
        assert elsewhere.submit(second.take).result(10)
        second.release()
    for engine in engines:
        engine.dispose()
