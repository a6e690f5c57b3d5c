"""What makes two runs the same run: resolved options, dataset, runtime and code."""

from __future__ import annotations

import hashlib
import json

from doggo.train.config import TrainConfig
from doggo.train.provenance import code_sha256

POINT_TAG = "doggo.point"
"""Tag of every experiment: runs with the same value give the same figures."""


def point_key(config: TrainConfig, manifest_id: str, runtime: str) -> str:
    """Return 32 hex digits that are the same for runs that must give the same figures.

    Args:
        config: resolved or not: a default that is written out makes no other run.
        runtime: name of the pair that computes embeddings.
    """
    facts = {
        "config": config.resolved().to_json(),
        "manifest": manifest_id,
        "runtime": runtime,
        "code": code_sha256(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
