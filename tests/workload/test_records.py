"""Data files: what is read from each format, and one clear line for each that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from evload.workload import records
from evload.workload.records import DataFileError, Records, RecordSettings


def settings_for(name: str) -> RecordSettings:
    return RecordSettings.model_validate(name)


def load(settings: RecordSettings, directory: Path) -> Records:
    return records.load(settings, directory, Path.read_bytes)


def test_csv_is_text_with_quotes_and_line_ends_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes('\ufeffid,note\r\n1,"a, ""b""\r\nc"\r\n\r\n2,é\u2028\r\n'.encode())
    found = load(settings_for("a.csv"), tmp_path)
    assert found.columns == ("id", "note")
    assert found.rows == (("1", 'a, "b"\r\nc'), ("2", "é\u2028"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '[{"id": 1, "tags": ["x"]},\n {"tags": null, "id": "2"}]'),
        ("a.jsonl", '{"id": 1, "tags": ["x"]}\n\n{"tags": null, "id": "2"}\n'),
        ("a.NDJSON", '{"id": 1, "tags": ["x"]}\r\n{"tags": null, "id": "2"}'),
    ],
)
def test_json_values_keep_their_types(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, newline="")
    found = load(settings_for(name), tmp_path)
    assert found.columns == ("id", "tags")
    assert found.rows == ((1, ["x"]), ("2", None))


def test_only_line_feeds_end_a_json_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a\u2028b"}\n', encoding="utf-8")
    assert load(settings_for("a.jsonl"), tmp_path).rows == (("a\u2028b",),)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_lines_end_in_any_way(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.csv").write_text(end.join(["id,n", "a,1", "b,2"]), newline="")
    assert load(settings_for("a.csv"), tmp_path).rows == (("a", "1"), ("b", "2"))


def test_a_name_alone_is_read_in_sequence() -> None:
    assert settings_for("a.csv") == RecordSettings(file="a.csv", order="sequential")
    with pytest.raises(ValidationError):
        RecordSettings.model_validate({"file": "a.csv", "order": "shuffled"})
    schema = TypeAdapter(RecordSettings).json_schema()
    assert {"type": "string"} in schema["anyOf"]


@pytest.mark.parametrize(
    ("name", "content", "what", "cure"),
    [
        ("a.csv", None, "data file a.csv doesn't exist", "correct its name"),
        ("a.txt", b"x", "data file a.txt is of no known kind", ".csv, .json, .jsonl, .ndjson"),
        ("a\0.csv", None, "can't be read", "name a readable file"),
        ("a.csv", b"", "data file a.csv has no records", "at least one record"),
        ("a.csv", b"id,note\n", "data file a.csv has no records", "at least one record"),
        ("a.csv", b"id,id\n1,2\n", "line 1: column 'id' is there twice", "a name of its own"),
        ("a.csv", b"id,\n1,2\n", "line 1: column 2 has no name", "a name of its own"),
        ("a.csv", b"id,note\n1,2\n3,4,5\n", "line 3: 3 values for 2 columns", "a value for every column"),
        ("a.csv", b'id,note\n1,"2\n', "line 2: not CSV", "close every quote"),
        ("a.csv", b"id\n1\n\xff\n", "line 3: not UTF-8", "save it as UTF-8"),
        ("a.json", b"", "data file a.json has no records", "at least one record"),
        ("a.json", b"[]", "data file a.json has no records", "at least one record"),
        ("a.json", b"[{}]", "data file a.json has no records", "with a field"),
        ("a.json", b'{"id": 1}', "isn't a JSON array", 'write [{"field": "value"}, ...]'),
        ("a.json", b'[{"id": 1},\n{"id" 2}]', "line 2: not JSON", "correct that line"),
        ("a.json", b'[{"id": 1}, 2]', "record 2 isn't an object", "for each record"),
        ("a.json", b'[{"id": 1}, {"ID": 2}]', "record 2: no field 'id'", "the same fields: id"),
        ("a.json", b"[" * 100_000, "not usable JSON", "plainer"),
        ("a.json", b'[{"id": NaN}]', "JSON has no NaN", "plainer"),
        ("a.jsonl", b'{"id": 1}\n\n{"id": 2\n', "line 3: not JSON", "correct that line"),
        ("a.jsonl", b'{"id": 1}\n[2]\n', "line 2 isn't an object", "for each record"),
        ("a.jsonl", b'{"id": 1}\n{"id": 1, "b": 2}\n', "line 2: field 'b' isn't in the first record", "fields: id"),
    ],
)
def test_a_wrong_file_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes | None, what: str, cure: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        load(settings_for(name), tmp_path)
    assert what in caught.value.what
    assert cure in caught.value.cure
    assert "\n" not in str(caught.value)


def test_a_directory_is_no_data_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataFileError, match="can't be read: Is a directory; name a readable file"):
        load(settings_for("a.csv"), tmp_path)
