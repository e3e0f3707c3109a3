"""JSON whose whole numbers are what they say, however long."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.clients.exact_json import loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_json_says_is_read_back(value: object) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64, 7291234567890123776, -(2**70), 10**40])
def test_a_long_number_is_no_double(number: int) -> None:
    read = loads(b'{"id": %d}' % number)
    assert read == {"id": number}
    assert type(read["id"]) is int


@pytest.mark.parametrize(
    "text", ["", "{", "nope", '{"id": 1234567890123456789', "[NaN, 1234567890123456789]", "[" * 100_000 + "1" * 19]
)
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)
