"""``NamedTuple``, ``TypedDict`` and ``dataclass`` that compile nothing: importing us costs less.

``typing`` compiles each annotation that is a string, ``collections.namedtuple`` the text of a
constructor and ``dataclasses`` that of six methods: 0.7 million instructions for a named tuple and
3 to 10 for a dataclass. To type checkers these are the originals; annotations count by name only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple", "TypedDict", "dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
    from typing import NamedTuple, TypedDict
else:
    import dataclasses
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

    # ------------------------------------------------------------------------- dataclasses

    def dataclass(*, frozen=False, slots=False, kw_only=False, eq=True):
        """Only these arguments are known, and fields without ``default_factory``."""

        def made(kind):
            bare = {"init": False, "repr": False, "eq": False}
            kind = dataclasses.dataclass(**bare, slots=slots, kw_only=kw_only)(kind)
            kind.__init__ = _initialiser(kind)
            kind.__repr__ = _repr
            if eq:
                kind.__eq__ = _eq
                kind.__hash__ = _hash if frozen else None
            if frozen:
                _freeze(kind)
            told = kind.__dataclass_params__
            told.init, told.repr, told.eq, told.frozen = True, True, eq, frozen
            return kind

        return made

    def _initialiser(kind):
        """``__init__`` with the fields as parameters."""
        fields = kind.__dataclass_fields__.values()
        places = [each for each in fields if not each.kw_only]
        names = [each for each in fields if each.kw_only]
        code = _init.__code__.replace(
            co_varnames=("self", *(each.name for each in (*places, *names))),
            co_nlocals=1 + len(fields),
            co_argcount=1 + len(places),
            co_kwonlyargcount=len(names),
            co_name="__init__",
            co_qualname=f"{kind.__qualname__}.__init__",
        )
        function = FunctionType(code, globals(), "__init__", tuple(_defaults(places).values()))
        function.__kwdefaults__ = _defaults(names)
        function.__annotations__ = {**{each.name: each.type for each in fields}, "return": None}
        return function

    def _defaults(fields):
        missing = dataclasses.MISSING
        return {each.name: each.default for each in fields if each.default is not missing}

    def _init(self):
        _fill(**locals())

    def _fill(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)
        after = getattr(self, "__post_init__", None)
        if after is not None:
            after()

    def _values(self):
        fields = self.__dataclass_fields__.values()
        return tuple(getattr(self, each.name) for each in fields if each.compare)

    def _eq(self, other):
        if other.__class__ is self.__class__:
            return _values(self) == _values(other)
        return NotImplemented

    def _hash(self):
        return hash(_values(self))

    def _repr(self):
        fields = [each.name for each in self.__dataclass_fields__.values() if each.repr]
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in fields)
        return f"{type(self).__qualname__}({values})"

    def _freeze(kind):
        def refuse(verb, self, name):
            if type(self) is kind or name in kind.__dataclass_fields__:
                raise dataclasses.FrozenInstanceError(f"cannot {verb} field {name!r}")

        def __setattr__(self, name, value):  # noqa: N807 - as it is called
            refuse("assign to", self, name)
            super(kind, self).__setattr__(name, value)

        def __delattr__(self, name):  # noqa: N807 - as it is called
            refuse("delete", self, name)
            super(kind, self).__delattr__(name)

        kind.__setattr__, kind.__delattr__ = __setattr__, __delattr__
        kind.__getstate__, kind.__setstate__ = _getstate, _setstate

    def _getstate(self):
        return [getattr(self, name) for name in self.__dataclass_fields__]

    def _setstate(self, state):
        for name, value in zip(self.__dataclass_fields__, state, strict=True):
            object.__setattr__(self, name, value)
