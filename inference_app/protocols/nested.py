"""Nested JSON lists to one flat list of values, with an exact message where they do not have a tensor's shape."""

from collections.abc import Callable, Sequence
from itertools import chain
from math import prod
from typing import Any, cast

from inference_app.errors import InvalidRequestError
from inference_app.protocols.codec import describe

Place = Callable[[Sequence[int]], str]
"""Indices, outermost first, to the place that they are, as the client would write it."""


def flatten(level: list[Any], sizes: Sequence[int | None]) -> tuple[tuple[int, ...], list[Any]] | None:
    """Unwrap one level of nesting after the other; all lists on a level must be of one size.

    Args:
        level: The outermost list, which is not empty and of a size that is right.
        sizes: How many items the lists of each level after it have; None for as many as the first of them.

    Returns:
        The shape found, and the values in row-major order; None where a list is wrong, which `wrong_list` names.
    """
    shape = [len(level)]
    for wanted in sizes:
        first = level[0]
        size = wanted if wanted is not None else _size_of(first)
        if len(level) == 1:
            if type(first) is not list or len(cast("list[Any]", first)) != size:
                return None
            level = cast("list[Any]", first)
        # By type first: only lists may be asked for their length.
        elif set(map(type, level)) == {list} and set(map(len, level)) == {size}:
            level = list(chain.from_iterable(level))
        else:
            return None
        shape.append(size)
    return tuple(shape), level


def wrong_list(level: list[Any], sizes: Sequence[int | None], element: str, place: Place) -> InvalidRequestError:
    """The error for the first list that `flatten` does not take, outer ones first.

    Args:
        level: What `flatten` refused.
        sizes: What `flatten` was told.
        element: What the innermost lists hold.
        place: How the client would write where it is.
    """
    depth = next(depth for depth in range(1, len(sizes) + 1) if flatten(level, sizes[:depth]) is None)
    shape, level = flatten(level, sizes[: depth - 1]) or ((), level)
    wanted = sizes[depth - 1]
    size = wanted if wanted is not None else _size_of(level[0])
    index = next(
        index for index, item in enumerate(level) if not isinstance(item, list) or len(cast("list[Any]", item)) != size
    )
    item, where = level[index], place(indices(index, shape))
    expected = count(size, element if depth == len(sizes) else "list")
    if not isinstance(item, list):
        return InvalidRequestError(f"{where}: expected a list of {expected}, got {describe(item)}")
    return InvalidRequestError(f"{where}: expected {expected}, got {len(cast('list[Any]', item))}")


def indices(index: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Where a flat index is in an array of this shape."""
    return tuple(index // prod(shape[axis + 1 :]) % size for axis, size in enumerate(shape))


def count(number: int, noun: str) -> str:
    """`1 number`, `2 numbers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _size_of(item: object) -> int:
    # No model makes something of an empty row.
    return max(1, len(cast("list[Any]", item))) if isinstance(item, list) else 1
