"""Read fields of a client's values without trusting their types.

A source is what a client decoded: a plain dict, or the model it made of one. A value of an
unexpected type counts as missing: that costs one field and not the record.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from genai_otel.record.foreign import as_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Json", "as_dict", "get_dict", "get_dicts", "get_first_dict", "get_int", "get_str",
    "host_and_port", "parse_json", "pick", "proto_to_dict", "snake_case", "unwrap_unknown",
]  # fmt: skip

Json = dict[str, Any]

_NOTHING: Json = {}


def get_str(source: Json, key: str) -> str | None:
    """Return a string, or the value of a string enumeration; ``None`` for anything else."""
    value = source.get(key)
    if value is None or type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def snake_case(name: str) -> str:
    """Convert camel case: ``toolUse`` becomes ``tool_use``."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def get_int(source: Json, key: str) -> int | None:
    """Return a non-negative integer (a count), never a ``bool``; ``None`` for anything else."""
    value = source.get(key)
    if type(value) is float and value.is_integer():  # as Together and Cohere count
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def get_dict(source: Json, key: str) -> Json:
    """Return an object's fields; an empty dict where there is no object."""
    value = source.get(key)
    return _NOTHING if value is None else as_dict(value)


def get_dicts(source: Json, key: str) -> list[Json]:
    """Return the fields of each object in a list."""
    value = source.get(key)
    return [as_dict(item) for item in value] if type(value) is list else []


def get_first_dict(source: Json, key: str) -> Json:
    """Return the fields of a list's first object; the others are not read."""
    value = source.get(key)
    return as_dict(value[0]) if type(value) is list and value else _NOTHING


def unwrap_unknown(item: Json) -> Json:
    """Return the raw item inside the ``Unknown`` wrapper that a generated client puts around it."""
    return get_dict(item, "raw") if item.get("is_unknown") is True else item


def pick(source: Json, names: Mapping[str, str]) -> Json:
    """Return those of the named fields that are set, under their neutral names."""
    return {
        names[key]: value for key, value in source.items() if key in names and value is not None
    }


def proto_to_dict(message: Any) -> Json:
    """Convert the set fields of a protobuf message, recursively; enumerations by name."""
    return {field.name: _proto_field(field, value) for field, value in message.ListFields()}


def _proto_field(field: Any, value: Any) -> Any:
    if isinstance(value, _SCALARS):
        return _proto_value(field, value)
    if hasattr(value, "ListFields"):
        plain = _PLAIN_PROTOS.get(field.message_type.full_name)
        return proto_to_dict(value) if plain is None else plain(value)
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
    """Convert a ``google.protobuf.Value``."""
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


def parse_json(arguments: Any) -> Any:
    """Decode JSON text; return anything else, and invalid JSON, unchanged."""
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
def host_and_port(url: str) -> tuple[str | None, int | None]:
    """Split a base URL; the scheme's default port where it names none."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None, None
