"""Frozen dataclasses to JSON values and back, for the journal, context.json and `--output json`."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


AS = "json"
"""The key of a field's metadata that names it in JSON, where that is not its own name."""


class Sparse:
    """A dataclass of which only the fields that say something are written.

    What is not there has its default when it is read; what a newer version wrote is passed over.
    """

    __slots__ = ()


def to_json(value: Any) -> Any:
    """Plain JSON values of a dataclass, recursively; tuples become lists, enums their value."""
    kind: Any = type(value)
    return _writer(kind)(value)


@functools.cache
def _writer(kind: type) -> Callable[[Any], Any]:
    """What writes a value of this type; looked at once a type, for every record is written through here."""
    if issubclass(kind, Sparse):
        return _sparse(kind)
    if dataclasses.is_dataclass(kind):
        names = [(_name(one), one.name) for one in dataclasses.fields(kind)]
        return lambda value: {name: to_json(getattr(value, own)) for name, own in names}
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, Mapping):
        return lambda value: {str(k): to_json(v) for k, v in value.items()}
    if issubclass(kind, (list, tuple, set, frozenset)):
        return lambda value: [to_json(v) for v in value]
    return lambda value: value


def _sparse(kind: Any) -> Callable[[Any], Any]:
    names = [(_name(one), one.name, _default(one)) for one in dataclasses.fields(kind)]

    def write(value: Any) -> Any:
        said = ((name, getattr(value, own), default) for name, own, default in names)
        return {name: to_json(v) for name, v, default in said if v != default}

    return write


def _default(one: dataclasses.Field[Any]) -> Any:
    return one.default if one.default_factory is dataclasses.MISSING else one.default_factory()


def _name(one: dataclasses.Field[Any]) -> str:
    return str(one.metadata.get(AS, one.name))


def from_json(kind: type[T], data: Any) -> T:
    """The dataclass `kind` from JSON values made by `to_json`; unknown keys raise TypeError."""
    return typing.cast(T, _builder(typing.cast(Any, kind))(data))


@functools.cache
def _builder(kind: Any) -> Callable[[Any], Any]:
    """What builds a value of this type; looked at once a type, for a run's state is built again at each step."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = _builder(next(a for a in args if a is not type(None)))
        return lambda data: None if data is None else inner(data)
    if origin is tuple:
        return _tuple(args)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        key, value = _builder(args[0]), _builder(args[1])
        return lambda data: {key(k): value(v) for k, v in data.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return functools.partial(_dataclass, kind)
    if isinstance(kind, type) and issubclass(kind, (Enum, str)) and kind is not str:
        return kind
    return lambda data: data


def _tuple(args: tuple[Any, ...]) -> Callable[[Any], Any]:
    builders = [_builder(a) for a in args if a is not Ellipsis]
    if len(args) == 2 and args[1] is Ellipsis:
        (each,) = builders
        return lambda data: tuple(each(d) for d in data)
    return lambda data: tuple(b(d) for b, d in zip(builders, data, strict=True))


@functools.cache
def _fields(kind: Any) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """What builds each field, by its name in JSON."""
    hints = typing.get_type_hints(kind)
    return {_name(one): (one.name, _builder(hints[one.name])) for one in dataclasses.fields(kind)}


def _dataclass(kind: type, data: Any) -> Any:
    fields = _fields(kind)
    unknown = set(data) - set(fields)
    if issubclass(kind, Sparse):
        data = {k: v for k, v in data.items() if k in fields}
    elif unknown:
        raise TypeError(f"{kind.__name__}: unknown {sorted(unknown)}")
    return kind(**{fields[k][0]: fields[k][1](v) for k, v in data.items()})
