"""Follows the data of a config through the JSON Schema of what reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema


class _WithoutDefaults(GenerateJsonSchema):
    """Nobody asks here for a default, and to write one as JSON takes longer than all else of its field."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


class Schemas:
    """All that a JSON Schema says of one place of the data: references followed, unions taken apart."""

    def __init__(self, root: Mapping[str, Any], found: Iterable[Mapping[str, Any]]) -> None:
        self._root = root
        self.found = list(found)

    @classmethod
    def of(cls, adapter: TypeAdapter[Any]) -> Schemas:
        """At the top of what an adapter reads; nothing where it has no schema."""
        try:
            root = adapter.json_schema(schema_generator=_WithoutDefaults)
        except PydanticInvalidForJsonSchema:
            return cls({}, ())
        return cls(root, _members(root, root))

    def at(self, step: str | int) -> Schemas:
        """One step further: a key of a mapping, or a number in a list."""
        children = [_child(schema, step) for schema in self.found]
        return Schemas(self._root, [one for child in children for one in _members(child, self._root)])

    def keys(self) -> list[str]:
        """The keys that a mapping here can have."""
        return list(dict.fromkeys(key for schema in self.found for key in schema.get("properties", {})))

    def says(self, word: str, value: str) -> bool:
        """Whether any of it has that value for a word."""
        return any(schema.get(word) == value for schema in self.found)


def _members(schema: Any, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not isinstance(schema, Mapping):
        return
    yield schema
    if "$ref" in schema:
        yield from _members(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for word in ("anyOf", "oneOf", "allOf"):
        for member in schema.get(word, ()):
            yield from _members(member, root)


def _child(schema: Mapping[str, Any], step: str | int) -> Any:
    if isinstance(step, int):
        return schema.get("items")
    return schema.get("properties", {}).get(step, schema.get("additionalProperties"))
