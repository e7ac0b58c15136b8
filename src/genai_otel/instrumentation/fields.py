"""Reading foreign values: each function takes one field, or says that it is not there.

Sources are what a client decoded: plain dicts, or the models it made of them. A value of another
type than expected counts as missing, so that it costs one field and not the record.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from genai_otel.record.foreign import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Json", "address", "fields", "first", "integer", "known", "mapping", "mappings", "parsed",
    "pick", "proto", "snake", "string",
]  # fmt: skip

Json = dict[str, Any]

_NOTHING: Json = {}


def string(source: Json, key: str) -> str | None:
    """A text; of an enumeration of texts its value."""
    value = source.get(key)
    if value is None or type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def snake(name: str) -> str:
    """A name in snake case: ``toolUse`` is ``tool_use``."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def integer(source: Json, key: str) -> int | None:
    """A whole number, not a truth value; never negative, since all that we count is counts."""
    value = source.get(key)
    if type(value) is float and value.is_integer():  # as Together and Cohere count
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def mapping(source: Json, key: str) -> Json:
    """An object's fields, none where there is no object."""
    value = source.get(key)
    return _NOTHING if value is None else fields(value)


def mappings(source: Json, key: str) -> list[Json]:
    """The fields of each object in a list."""
    value = source.get(key)
    return [fields(item) for item in value] if type(value) is list else []


def first(source: Json, key: str) -> Json:
    """The fields of a list's first object, the others untouched."""
    value = source.get(key)
    return fields(value[0]) if type(value) is list and value else _NOTHING


def known(item: Json) -> Json:
    """An item; one that a generated client has no class for lies whole inside of one it has."""
    return mapping(item, "raw") if item.get("is_unknown") is True else item


def pick(source: Json, names: Mapping[str, str]) -> Json:
    """The given fields that are there, under their neutral names."""
    return {
        names[key]: value for key, value in source.items() if key in names and value is not None
    }


def proto(message: Any) -> Json:
    """The fields that are set in a protobuf message, all the way down; enumerations by name."""
    return {field.name: _proto_field(field, value) for field, value in message.ListFields()}


def _proto_field(field: Any, value: Any) -> Any:
    if isinstance(value, _SCALARS):
        return _proto_value(field, value)
    if hasattr(value, "ListFields"):
        plain = _PLAIN_PROTOS.get(field.message_type.full_name)
        return proto(value) if plain is None else plain(value)
    if hasattr(value, "items"):
        of = field.message_type.fields_by_name["value"]
        return {str(key): _proto_field(of, each) for key, each in value.items()}
    return [_proto_field(field, each) for each in value]


def _proto_value(field: Any, value: Any) -> Any:
    named = field.enum_type and field.enum_type.values_by_number.get(value)
    return named.name if named else value


def _struct(value: Any) -> Json:
    return {key: _struct_value(each) for key, each in value.fields.items()}


def _struct_value(value: Any) -> Any:
    """JSON as protobuf has it."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _struct(value.struct_value)
    if kind == "list_value":
        return [_struct_value(each) for each in value.list_value.values]
    return None if kind in {None, "null_value"} else getattr(value, kind)


_SCALARS = (str, bytes, int, float)
_PLAIN_PROTOS = {
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _struct_value,
}


def parsed(arguments: Any) -> Any:
    """JSON text decoded, anything else as it is; half a JSON stays text."""
    if type(arguments) is not str:
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def in_common_form(read: Callable[..., bool], *given: Any) -> bool:
    """What ``read`` says of a value; ``False`` where a field is not there that it relies on."""
    try:
        return read(*given)
    except (AttributeError, KeyError):
        return False


_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80}


@lru_cache(maxsize=1_000)
def address(url: str) -> tuple[str | None, int | None]:
    """Host and port of a base URL; the usual port where it names none."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None, None
