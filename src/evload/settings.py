"""What a person writes: the base of all parts of a config."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function


def _not_true(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _not_one(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticKnownError("bool_type")
    return value


_BEFORE: Final[Mapping[str, Callable[[Any], Any]]] = {"int": _not_true, "float": _not_true, "bool": _not_one}
_INNER: Final = ("schema", "items_schema", "keys_schema", "values_schema")
"""Where a schema has another one in it."""


def _tell_apart(schema: Any, *, within: bool = False) -> None:
    """pydantic takes one for the other, and otherwise only refuses that where it takes no text either."""
    kind = schema["type"]
    if kind == "model" and within:
        return  # It has seen to itself.
    if kind == "function-before" and schema["function"]["function"] in _BEFORE.values():
        return  # So has this: pydantic gives the same schema to whoever asks, again and again.
    if before := _BEFORE.get(kind):
        inner = dict(schema)
        schema.clear()
        schema.update(no_info_before_validator_function(before, inner))
        return
    parts = [schema[name] for name in _INNER if isinstance(schema.get(name), dict)]
    for name in ("fields", "choices"):
        several = schema.get(name, ())
        parts += several.values() if isinstance(several, dict) else several
    if isinstance(schema.get("items_schema"), list):
        parts += schema["items_schema"]
    for part in parts:
        # A choice may have a name beside it.
        _tell_apart(part[0] if isinstance(part, tuple) else part, within=within or kind == "model")


class Settings(BaseModel):
    """Frozen. An unknown key is an error; true and false are no numbers, and 0 and 1 are neither true nor false."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _tell_apart(schema)
        return schema


_NAME: Final = re.compile(r"\w[\w .-]{0,99}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name; write up to 100 letters, digits, spaces, '-', '_' and '.'")
    return text


Name = Annotated[str, AfterValidator(_name)]
"""What a person calls something."""
