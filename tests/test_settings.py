"""What a person writes, as models: true is no number; a model that is asked for again and again stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from evload.settings import Settings


class Inner(Settings):
    count: int = 0


class Outer(Settings):
    number: int | None = None
    share: float = 0.5
    yes: bool = False
    many: tuple[int, ...] = ()
    inner: Inner = Inner()
    named: Mapping[str, bool] = {}


MISTAKES = [
    {"number": True}, {"share": False}, {"yes": 1}, {"many": [True]}, {"inner": {"count": True}}, {"named": {"a": 0}},
]  # fmt: skip


@pytest.mark.parametrize("written", MISTAKES, ids=lambda written: next(iter(written)))
def test_true_is_no_number_and_a_number_is_not_true(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Outer.model_validate(written)


def test_the_others_are_taken() -> None:
    written = {"number": 1, "share": 1, "yes": True, "many": [1], "inner": {"count": 2}, "named": {"a": False}}
    assert TypeAdapter(Outer).validate_python(written).inner.count == 2


def test_a_model_that_is_read_a_thousand_times_is_still_the_same() -> None:
    """pydantic asks it for its schema wherever it is a part of something."""
    schema, told = str(Outer.__pydantic_core_schema__), TypeAdapter(Outer).json_schema()
    for _ in range(1000):
        adapter = TypeAdapter(list[Outer])
    assert str(Outer.__pydantic_core_schema__) == schema
    assert TypeAdapter(Outer).json_schema() == told
    for written in MISTAKES:
        with pytest.raises(ValidationError):
            adapter.validate_python([written])
