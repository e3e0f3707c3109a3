"""Data files whose records fill templates: CSV with a header row, a JSON array of objects, or JSON lines."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ..settings import Settings

Order = Literal["sequential", "random"]
Row = tuple[Any, ...]
_Numbered = Iterator[tuple[int | None, dict[str, Any]]]
"""Records with the number of the line that each ends on, where the format has lines."""

Read = Callable[[Path], bytes]
"""Gives what is in a file. Raises OSError, and ValueError for what is no path."""


class DataFileError(ValueError):
    """A data file can't be used. `what` is wrong, `cure` is what would be right."""

    def __init__(self, what: str, cure: str) -> None:
        self.what = what
        self.cure = cure
        super().__init__(f"{what}; {cure}")


class RecordSettings(Settings):
    """Which data file, and in which order. The name of the file alone will do."""

    file: Annotated[str, Field(min_length=1, description="a .csv, .json, .jsonl or .ndjson file")]
    order: Annotated[Order, Field(description="sequential starts again after the last record; random draws any")] = (
        "sequential"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


@dataclass(frozen=True, slots=True)
class Records:
    """A loaded data file. Every row has a value for every column; those of a CSV file are all text."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    order: Order


def load(settings: RecordSettings, base_dir: Path, read: Read) -> Records:
    """Read the whole file by means of `read`. A relative name starts at `base_dir`. Raises DataFileError."""
    name = settings.file
    reader = _READERS.get(Path(name).suffix.lower())
    if reader is None:
        raise DataFileError(f"data file {name} is of no known kind", f"name a file in {', '.join(_READERS)}")
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    for line, record in reader(name, _text_of(base_dir / name, name, read)):
        columns = columns or tuple(record)
        if record.keys() != set(columns):
            place = f"line {line}" if line is not None else f"record {len(rows) + 1}"
            raise DataFileError(
                f"data file {name}, {place}: {_difference(columns, record)}",
                f"give every record the same fields: {', '.join(columns)}",
            )
        rows.append(tuple(map(record.__getitem__, columns)))
    if not rows or not columns:
        raise DataFileError(f"data file {name} has no records", "put at least one record with a field into it")
    return Records(columns, tuple(rows), settings.order)


def _text_of(path: Path, name: str, read: Read) -> str:
    try:
        # Python's own newline translation would change line ends inside quoted CSV fields.
        return read(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise DataFileError(f"data file {name} doesn't exist", f"put it at {path}, or correct its name") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataFileError(f"data file {name}, line {line}: not UTF-8", "save it as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        too_long = isinstance(error, OSError) and error.errno == errno.EFBIG
        cure = "use fewer records" if too_long else "name a readable file"
        raise DataFileError(f"data file {name!r} can't be read: {reason}", cure) from None


def _csv(name: str, text: str) -> _Numbered:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not header:
                header = cells
                _check_header(name, reader.line_num, header)
                continue
            if len(cells) != len(header):
                raise DataFileError(
                    f"data file {name}, line {reader.line_num}: {len(cells)} values for {len(header)} columns",
                    "give each line a value for every column, with quotes around one that has a comma in it",
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataFileError(
            f"data file {name}, line {reader.line_num}: not CSV: {error}",
            'close every quote, and write "" for a quote inside quotes',
        ) from None


def _check_header(name: str, line: int, header: list[str]) -> None:
    for index, column in enumerate(header):
        if not column.strip() or column in header[:index]:
            what = f"column {column!r} is there twice" if column.strip() else f"column {index + 1} has no name"
            raise DataFileError(f"data file {name}, line {line}: {what}", "give each column a name of its own")


def _json(name: str, text: str) -> _Numbered:
    if not text.strip():
        return
    array = _parse(text, name, 1)
    if not isinstance(array, list):
        raise DataFileError(f"data file {name} isn't a JSON array", 'write [{"field": "value"}, ...]')
    for index, record in enumerate(array, 1):
        yield None, _as_object(record, f"data file {name}, record {index}")


def _json_lines(name: str, text: str) -> _Numbered:
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            yield line, _as_object(_parse(content, name, line), f"data file {name}, line {line}")


_READERS: Final[dict[str, Callable[[str, str], _Numbered]]] = {
    ".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".ndjson": _json_lines,
}  # fmt: skip


def _parse(text: str, name: str, first_line: int) -> Any:
    try:
        return json.loads(text, parse_constant=_no_such_number)
    except json.JSONDecodeError as error:
        place = f"line {first_line + error.lineno - 1}"
        raise DataFileError(f"data file {name}, {place}: not JSON: {error.msg}", "correct that line") from None
    except (ValueError, RecursionError) as error:
        raise DataFileError(
            f"data file {name}, from line {first_line}: not usable JSON: {error}", "write a plainer value"
        ) from None


def _no_such_number(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _as_object(record: Any, place: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise DataFileError(f"{place} isn't an object", 'write {"field": "value"} for each record')
    return record


def _difference(columns: tuple[str, ...], record: dict[str, Any]) -> str:
    if missing := [column for column in columns if column not in record]:
        return f"no field {missing[0]!r}"
    return f"field {next(column for column in record if column not in columns)!r} isn't in the first record"
