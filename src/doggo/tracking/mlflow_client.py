"""How MLflow is reached: its client, kept quiet, and its errors as one line.

Owns what must be set before MLflow is imported, which takes seconds and happens in here alone.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from doggo.core.errors import StorageError

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # halves the server's memory
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default keeps a dead server for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Environment in which MLflow sends nothing, prints nothing and gives up soon."""


def connect(url: str) -> Any:
    """Return MLflow's client for `sqlite:///…` or a server; a fresh database is made.

    Raises:
        StorageError: MLflow is not installed, or does not answer there.
    """
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # They log what they raise, and every try of it; what is left of it comes as our one line.
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    with mlflow_errors(url):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=url, registry_uri=url)
        client.search_experiments(max_results=1)  # makes a fresh database, finds a dead server
    return client


def experiment_id(client: Any, name: str, artifacts: str | None) -> str:
    """Return the id of an experiment, which is made if need be.

    Args:
        artifacts: URL under which a new one keeps its files; None: the server decides.
    """
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = f"{artifacts}/{quote(name)}" if artifacts else None
    return str(client.create_experiment(name, artifact_location=location))


@contextmanager
def mlflow_errors(url: str) -> Iterator[None]:
    """Translate what MLflow, its HTTP client and its database raise into one line."""
    # MLflow 3.17.2 uses a loading strategy that SQLAlchemy 2.1 is about to drop. Not undone at
    # the end: `catch_warnings` is not safe beside other threads.
    warnings.filterwarnings("ignore", r"The ``noload`` loader strategy is deprecated")
    try:
        yield
    except StorageError:
        raise
    except ImportError as error:
        raise StorageError(
            "MLflow is not installed: install doggo with its `train` extra, or set "
            "DOGGO_TRACKER=none to keep no history"
        ) from error
    except Exception as error:
        # MlflowException, SQLAlchemy's and requests' errors share no parent of their own.
        if not type(error).__module__.startswith(("mlflow", "sqlalchemy", "requests", "builtins")):
            raise
        if type(error).__module__ == "builtins" and not isinstance(error, OSError):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StorageError(f"the tracker at {shown(url)} failed: {said[:200]}") from error


def shown(url: str) -> str:
    """Return the URL without its password, for messages."""
    parts = urlsplit(url)
    return url.replace(f"{parts.username}:{parts.password}@", "") if parts.password else url
