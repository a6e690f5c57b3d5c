"""The description of the API stands alone: no reference leads out of it."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field

from doggo.serve.describe import replies, schema_of
from doggo.serve.problems import KINDS


class Inner(BaseModel):
    number: int = Field(ge=0)


class Outer(BaseModel):
    one: Inner
    many: list[Inner] | None = None


def test_a_schema_has_no_references_and_means_the_same() -> None:
    schema = schema_of(Outer)
    assert "$ref" not in json.dumps(schema)
    assert "$defs" not in schema
    validator = jsonschema_rs.validator_for(schema)
    for right in ({"one": {"number": 1}}, {"one": {"number": 0}, "many": [{"number": 2}]}):
        assert validator.is_valid(right)
    for wrong in ({}, {"one": {"number": -1}}, {"one": {"number": 1}, "many": [{}]}):
        assert not validator.is_valid(wrong)


def test_problems_of_one_status_share_its_entry() -> None:
    described = replies("application/problem+json", Inner, "busy", "rate-limit", "no-model")
    assert set(described) == {429, 503}
    busy, limit = KINDS["busy"].title, KINDS["rate-limit"].title
    assert described[429]["description"] == f"{busy}; or: {limit[0].lower()}{limit[1:]}"
    assert described[503]["content"]["application/problem+json"]["schema"] == schema_of(Inner)


def test_a_problem_that_does_not_exist_is_our_mistake() -> None:
    with pytest.raises(KeyError):
        replies("application/json", Inner, "no-such-problem")
