"""Credentials of object stores: a key that is none, and one that goes nowhere but to memory."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from doggo.core.errors import DoggoError, UsageError
from doggo.storage.buckets import open_bucket
from doggo.storage.sign_in import is_remote, s3_files


def test_which_urls_are_of_an_object_store() -> None:
    assert is_remote("gs://bucket")
    assert is_remote("s3://bucket/folder")
    assert not is_remote("file:///folder")
    assert not is_remote("/folder")


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=r"s3:// buckets need s3fs: .*'doggo\[s3\]'"):
        s3_files()


@pytest.mark.parametrize(
    "raw",
    [
        "not base64!",
        base64.b64encode(b"not json").decode(),
        base64.b64encode(json.dumps({"type": "authorized_user"}).encode()).decode(),
    ],
)
def test_a_key_that_is_none_is_one_line(raw: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="GCSSA_RAW is no service account key") as caught:
        open_bucket("gs://bucket", cache=tmp_path, google_key=SecretStr(raw))
    assert raw not in str(caught.value)


def test_a_service_account_with_a_broken_key_is_one_line_and_not_on_disk(tmp_path: Path) -> None:
    key = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "0",
        "private_key": "-----BEGIN PRIVATE KEY-----\nsecret-secret\n-----END PRIVATE KEY-----\n",
        "client_email": "a@p.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:9/token",
    }
    raw = base64.b64encode(json.dumps(key).encode()).decode()
    with pytest.raises(DoggoError) as caught:
        open_bucket("gs://bucket", cache=tmp_path, google_key=SecretStr(raw)).read("key")
    assert "secret-secret" not in str(caught.value)
    assert not any(
        b"secret-secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
