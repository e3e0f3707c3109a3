"""Correlation ids: a valid UUIDv8 that gives its event's number back, to its own run only."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.model.correlation import CorrelationIds, is_of_a_run, plain_id

runs = st.integers(0, 2**60 - 1)
seqs = st.integers(0, 2**48 - 1)


@given(runs, seqs)
def test_an_id_is_a_uuid_and_gives_its_number_back(run: int, seq: int) -> None:
    ids = CorrelationIds(run)
    text = ids.id_of(seq)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant, str(parsed)) == (8, uuid.RFC_4122, text)
    assert ids.seq_of(text) == ids.seq_of(text.upper()) == seq
    assert text.startswith(ids.prefix)


@given(runs, runs, seqs)
def test_the_id_of_another_run_is_not_ours(ours: int, theirs: int, seq: int) -> None:
    found = CorrelationIds(ours).seq_of(CorrelationIds(theirs).id_of(seq))
    assert found == (seq if ours == theirs else None)


@given(st.one_of(st.text(), st.uuids().map(str)))
def test_no_other_text_is_an_id(text: str) -> None:
    assert CorrelationIds.for_run("run").seq_of(text) is None


@pytest.mark.parametrize(
    "tail", ["", "0", "00000000000", "0000000000005", "00000000000g", "0000000000_1", "-00000000001", "+00000000001",
             " 00000000001", "00000000000１", "1000000000000"],
)  # fmt: skip
def test_only_twelve_hexadecimal_digits_are_a_number(tail: str) -> None:
    ids = CorrelationIds.for_run("run")
    assert ids.seq_of(ids.prefix + tail) is None


@pytest.mark.parametrize("written", ["{}", "urn:uuid:{}", "URN:UUID:{}", "{{{}}}"])
@pytest.mark.parametrize("hyphens", [True, False])
def test_a_uuid_is_the_same_however_it_is_written(written: str, hyphens: bool) -> None:
    ids = CorrelationIds.for_run("run")
    text = ids.id_of(5) if hyphens else ids.id_of(5).replace("-", "")
    for spelled in (written.format(text), written.format(text.upper())):
        assert (ids.seq_of(spelled), plain_id(spelled), is_of_a_run(spelled)) == (5, ids.id_of(5), True)
        assert CorrelationIds.for_run("another").seq_of(spelled) is None


@pytest.mark.parametrize("text", ["", "5", "{", "b1f6f7a2-4e1c-4c80-8000-000000000001", "urn:uuid:", "x" * 36])
def test_what_is_no_id_of_a_run_is_left_as_it_is(text: str) -> None:
    assert (plain_id(text), is_of_a_run(text), CorrelationIds.for_run("run").seq_of(text)) == (text, False, None)


@pytest.mark.parametrize("text", ["{%s", "%s}", "urn:uuid:%s0", " %s", "%s\n"])
def test_what_only_begins_as_an_id_is_none(text: str) -> None:
    ids = CorrelationIds.for_run("run")
    assert ids.seq_of(text % ids.id_of(5)) is None


def test_runs_have_prefixes_of_their_own() -> None:
    """The same on every machine: whoever has the directory of a run finds its events in the system's logs."""
    assert CorrelationIds.for_run("20260131-120000-4f1c").id_of(500) == "2eb62a09-89f3-83e0-8000-0000000001f4"
    assert len({CorrelationIds.for_run(f"run-{n}").prefix for n in range(1000)}) == 1000


@pytest.mark.parametrize("run", [-1, 2**60])
def test_a_run_prefix_has_sixty_bits(run: int) -> None:
    with pytest.raises(ValueError, match="60 bits"):
        CorrelationIds(run)
