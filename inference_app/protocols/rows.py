"""Nested JSON lists to one array: at the speed of C where they are right, with an exact message where they are not."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import numpy as np

from inference_app.model import Datatype, Tensor, TensorSpec
from inference_app.protocols.codec import InvalidRequestError, describe

_INTEGERS = frozenset(
    {
        Datatype.UINT8,
        Datatype.UINT16,
        Datatype.UINT32,
        Datatype.UINT64,
        Datatype.INT8,
        Datatype.INT16,
        Datatype.INT32,
        Datatype.INT64,
    }
)
_FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64})


def to_tensor(rows: object, spec: TensorSpec, field: str) -> Tensor:
    """Rows as one array.

    Args:
        rows: A parsed JSON value: a list of rows, each nested as deep as the tensor has dimensions after the first.
        spec: What the model takes.
        field: The rows' name in the request, for messages.

    Returns:
        An array of the tensor's datatype, shape `(rows, *spec.shape[1:])`.

    Raises:
        InvalidRequestError: naming the first place that is wrong, what was expected there and what was found.
    """
    if spec.datatype not in _INTEGERS | _FLOATS or not spec.shape:
        raise InvalidRequestError(f"{field}: rows of numbers do not fit this model's input {spec}")
    shape, values = _flatten(rows, spec, field)
    if spec.datatype in _INTEGERS:
        return _integers(values, shape, spec.datatype, field)
    return _floats(values, shape, spec.datatype, field)


def _flatten(rows: object, spec: TensorSpec, field: str) -> tuple[tuple[int, ...], list[Any]]:
    """Unwrap one level of nesting after the other; every list on a level must be a list, and of the same size."""
    level = cast("list[Any]", rows) if isinstance(rows, list) else []
    if not level:
        found = describe(cast("object", rows))
        raise InvalidRequestError(f"{field}: expected a list of at least one row, got {found}")
    if spec.shape[0] not in {None, len(level)}:
        raise InvalidRequestError(f"{field}: this model takes exactly {_count(spec.shape[0], 'row')}, got {len(level)}")
    shape: tuple[int, ...] = (len(level),)
    for depth, wanted in enumerate(spec.shape[1:], start=1):
        noun = "number" if depth == len(spec.shape) - 1 else "list"
        size = wanted if wanted is not None else _size_of(level[0])
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            _reject_list(level, shape, size, noun, field)
        shape = (*shape, size)
        level = list(chain.from_iterable(level))
    return shape, level


def _size_of(row: object) -> int:
    # No model makes something of an empty row.
    return max(1, len(cast("list[Any]", row))) if isinstance(row, list) else 1


def _reject_list(level: Sequence[object], shape: tuple[int, ...], size: int, noun: str, field: str) -> None:
    for index, row in enumerate(level):
        where = _path(field, index, shape)
        if not isinstance(row, list):
            raise InvalidRequestError(f"{where}: expected a list of {_count(size, noun)}, got {describe(row)}")
        if (got := len(cast("list[Any]", row))) != size:
            raise InvalidRequestError(f"{where}: expected {_count(size, noun)}, got {got}")


def _floats(values: list[Any], shape: tuple[int, ...], datatype: Datatype, field: str) -> Tensor:
    _require(values, {int, float}, shape, "a number", field)
    wide = np.fromiter(values, dtype=np.float64, count=len(values))
    with np.errstate(over="ignore"):
        narrow = wide.astype(datatype.dtype)
    _require_fit(np.isfinite(narrow), values, shape, datatype, field)
    return narrow.reshape(shape)


def _integers(values: list[Any], shape: tuple[int, ...], datatype: Datatype, field: str) -> Tensor:
    _require(values, {int}, shape, "an integer", field)
    limits = np.iinfo(datatype.dtype)
    if values and not (limits.min <= min(values) and max(values) <= limits.max):
        fits = np.fromiter((limits.min <= value <= limits.max for value in values), dtype=np.bool_, count=len(values))
        _require_fit(fits, values, shape, datatype, field)
    return np.fromiter(values, dtype=datatype.dtype, count=len(values)).reshape(shape)


def _require(values: list[Any], types: set[type], shape: tuple[int, ...], expected: str, field: str) -> None:
    # By exact type: to Python a JSON true is an int too.
    if set(map(type, values)) <= types:
        return
    index = next(index for index, value in enumerate(values) if type(value) not in types)
    raise InvalidRequestError(f"{_path(field, index, shape)}: expected {expected}, got {describe(values[index])}")


def _require_fit(fits: Tensor, values: list[Any], shape: tuple[int, ...], datatype: Datatype, field: str) -> None:
    if fits.all():
        return
    index = int(np.argmin(fits))
    raise InvalidRequestError(f"{_path(field, index, shape)}: {describe(values[index])} does not fit {datatype}")


def _path(field: str, index: int, shape: tuple[int, ...]) -> str:
    """The place of a flat index, as the client would write it: `instances[3][7]`."""
    return field + "".join(f"[{position}]" for position in np.unravel_index(index, shape))


def _count(number: int | None, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
