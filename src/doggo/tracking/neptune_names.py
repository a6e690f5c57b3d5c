"""Neptune's names as MLflow takes them."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

_LONGEST = 240  # MLflow's limit is 250
_NOT_ALLOWED = re.compile(r"[^\w\-. /]", re.ASCII)


def mlflow_key(path: str) -> str:
    """Return a key or artefact path for an attribute: relative, without `..`, allowed signs only.

    Where a name has to change, a digest of it is added: two names never become one.
    """
    words = [word for word in _NOT_ALLOWED.sub("_", path).split("/") if word not in {"", ".", ".."}]
    key = "/".join(words)[:_LONGEST].rstrip("/ ") or "unnamed"
    if key == path:
        return key
    return f"{key}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def artifact_folder(path: str) -> str:
    """Return the folder in which the file at such a path is kept; empty at the top."""
    above = path.rpartition("/")[0]
    return mlflow_key(above) if above else ""


def model_name(project_id: str, model_id: str) -> str:
    """Return the registered model's name.

    It starts with `neptune-`: doggo's own models keep their names and aliases for themselves.
    """
    return "neptune-" + re.sub(r"[^\w\-.]+", "-", f"{project_id}-{model_id}", flags=re.ASCII)


def param_text(value: object) -> str:
    """Return a value as MLflow's parameters hold it: words."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | set | tuple):
        return ", ".join(sorted(map(str, value)))
    return str(value)
