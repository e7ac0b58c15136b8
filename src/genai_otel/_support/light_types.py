"""``NamedTuple`` and ``TypedDict`` of ``typing`` that compile nothing: for importing us at less.

``typing`` compiles each annotation that is a string, and ``collections.namedtuple`` the text of a
constructor: 0.7 million instructions for each class, of which set-up loads some forty.
To type checkers these are the originals. Of an annotation only the name counts at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple", "TypedDict"]

if TYPE_CHECKING:
    from typing import NamedTuple, TypedDict
else:
    from collections import _tuplegetter as _getter
    from types import FunctionType

    # By the number of fields less one: a constructor, whose parameters get the fields' names.
    # More than that are for `typing`.
    _CONSTRUCTORS = (
        lambda _, a: _new(_, (a,)),
        lambda _, a, b: _new(_, (a, b)),
        lambda _, a, b, c: _new(_, (a, b, c)),
        lambda _, a, b, c, d: _new(_, (a, b, c, d)),
        lambda _, a, b, c, d, e: _new(_, (a, b, c, d, e)),
        lambda _, a, b, c, d, e, f: _new(_, (a, b, c, d, e, f)),
        lambda _, a, b, c, d, e, f, g: _new(_, (a, b, c, d, e, f, g)),
        lambda _, a, b, c, d, e, f, g, h: _new(_, (a, b, c, d, e, f, g, h)),
        lambda _, a, b, c, d, e, f, g, h, i: _new(_, (a, b, c, d, e, f, g, h, i)),
        lambda _, a, b, c, d, e, f, g, h, i, j: _new(_, (a, b, c, d, e, f, g, h, i, j)),
        lambda _, a, b, c, d, e, f, g, h, i, j, k: _new(_, (a, b, c, d, e, f, g, h, i, j, k)),
        lambda _, a, b, c, d, e, f, g, h, i, j, k, m: _new(_, (a, b, c, d, e, f, g, h, i, j, k, m)),
    )
    _new = tuple.__new__

    class _Row(tuple):
        """The methods that all named tuples have."""

        __slots__ = ()
        _fields = ()

        @classmethod
        def _make(cls, values):
            row = tuple.__new__(cls, values)
            if len(row) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(row)}")
            return row

        def _replace(self, /, **changes):
            row = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"Got unexpected field names: {list(changes)!r}")
            return row

        __replace__ = _replace

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            values = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({values})"

        def __getnewargs__(self):
            return tuple(self)

    class _NamedTupleMeta(type):
        def __new__(cls, name, _bases, namespace):
            annotations = namespace.get("__annotations__", {})
            fields = tuple(annotations)
            defaults = {field: namespace[field] for field in fields if field in namespace}
            members = {
                **namespace,
                **{field: _getter(place, "") for place, field in enumerate(fields)},
                "__slots__": (),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
                "__new__": _constructor(name, annotations, tuple(defaults.values())),
            }
            return type(name, (_Row,), members)

    def _constructor(name, annotations, defaults):
        code = _CONSTRUCTORS[len(annotations) - 1].__code__.replace(
            co_varnames=("_cls", *annotations), co_name="__new__", co_qualname=f"{name}.__new__"
        )
        function = FunctionType(code, globals(), "__new__", defaults)
        function.__annotations__ = annotations
        return function

    class _TypedDictMeta(type):
        """Calling such a class gives a plain dict, as that of ``typing`` does."""

        def __new__(cls, name, _bases, namespace):
            return super().__new__(cls, name, (dict,), namespace)

        __call__ = dict

    NamedTuple = type.__new__(_NamedTupleMeta, "NamedTuple", (), {})
    TypedDict = type.__new__(_TypedDictMeta, "TypedDict", (), {})
