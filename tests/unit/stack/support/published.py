"""A resource's inputs against the provider's own types, as its SDK publishes them."""
# The SDKs are generated; what is looked for in them here has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false

import collections.abc
import enum
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, Union

import pulumi

from tools.offline.graph import SECRET, UNKNOWN

_PLAIN: dict[object, tuple[type, ...]] = {str: (str,), int: (int,), bool: (bool,), float: (float, int)}


def problems(token: str, inputs: dict[str, Any]) -> list[str]:
    """What the provider would not take: inputs it doesn't know, lacks, has of another type, or has given up.

    Args:
        token: A resource's type token, `aws:s3/bucket:Bucket`.
        inputs: Its inputs, by the names that the engine has for them.
    """
    return list(_of_class(_arguments(token), inputs, token))


@cache
def _arguments(token: str) -> type:
    package, module, name = token.split(":")
    folder = module.partition("/")[0]
    place = f"pulumi_{package}" if folder == "index" else f"pulumi_{package}.{folder}"
    found = importlib.import_module(place)
    resource = getattr(found, name)
    assert resource.pulumi_type == token, token
    assert not _is_given_up(resource), token
    # Where a nested input has the name already, the resource's arguments have another.
    return getattr(found, f"{name}InitArgs", None) or getattr(found, f"{name}Args")


def _of_class(cls: type, value: dict[str, Any], path: str) -> Iterator[str]:
    known = _properties(cls)
    for key in value.keys() - known.keys():
        yield f"{path}.{key} is unknown to {cls.__name__}"
    for key, (kind, required, given_up) in known.items():
        if key not in value:
            if required:
                yield f"{path}.{key} is missing"
        elif given_up:
            yield f"{path}.{key} is deprecated"
        elif any(_mismatches(kind, value[key], f"{path}.{key}")):
            yield from _mismatches(kind, value[key], f"{path}.{key}")


@cache
def _properties(cls: type) -> dict[str, tuple[Any, bool, bool]]:
    """Type, whether it is required, and whether it is given up, of every property by the engine's name for it."""
    parameters = inspect.signature(cls.__init__).parameters
    # `Input[T]` has its own `T` in quotes, where a value that is there already is not meant.
    names_there = {**vars(pulumi), **vars(importlib.import_module(cls.__module__)), "T": Any}
    hints = typing.get_type_hints(cls.__init__, names_there)
    source = inspect.getsource(cls.__init__)
    names = {name: name for name in parameters if name not in {"self", "__self__"}}
    engines = {name: _engines_name(cls, name) for name in names}
    return {
        engines[name]: (
            hints[name],
            parameters[name].default is inspect.Parameter.empty,
            bool(re.search(rf"if {name} is not None:\s+warnings.warn", source))
            or _is_given_up(getattr(cls, name, None)),
        )
        for name in names
    }


def _engines_name(cls: type, name: str) -> str:
    getter = getattr(cls, name).fget
    return getattr(getter, "_pulumi_name", name)


def _is_given_up(thing: object) -> bool:
    if isinstance(thing, type):
        return re.search(r"^    warnings\.warn\(", inspect.getsource(thing), re.MULTILINE) is not None
    return isinstance(thing, property) and hasattr(thing.fget, "_pulumi_deprecated_callable")


def _mismatches(kind: Any, value: Any, path: str) -> Iterator[str]:
    if value in (SECRET, UNKNOWN) or kind is Any or isinstance(kind, typing.TypeVar):
        return
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        # Of `Input[T]` those that hold a value: what gives one later has been waited for.
        found = [list(_mismatches(it, value, path)) for it in arguments if not _gives_later(it)]
        if all(found):
            yield min(found, key=len)[0]
    elif isinstance(origin, type):
        yield from _in_collection(origin, arguments, value, path)
    elif isinstance(kind, type) and kind not in (*_PLAIN, type(None)) and isinstance(value, dict):
        yield from _of_class(kind, value, path)
    elif not _is_plain(kind, value):
        yield f"{path} is {value!r}, wanted is {kind}"


def _in_collection(origin: type, arguments: tuple[Any, ...], value: Any, path: str) -> Iterator[str]:
    if issubclass(origin, collections.abc.Mapping) and isinstance(value, dict):
        for key, item in value.items():
            yield from _mismatches(arguments[1], item, f"{path}.{key}")
    elif issubclass(origin, collections.abc.Sequence) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mismatches(arguments[0], item, f"{path}[{index}]")
    else:
        yield f"{path} is {value!r}, wanted is {origin}"


def _is_plain(kind: Any, value: Any) -> bool:
    if kind is type(None):
        return value is None
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return value in [member.value for member in kind]
    return isinstance(value, _PLAIN.get(kind, ())) and (kind is bool or not isinstance(value, bool))


def _gives_later(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, pulumi.Output | collections.abc.Awaitable)
