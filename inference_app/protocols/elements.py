"""A flat list of JSON values to one array: at the speed of C where they are right, else naming what is wrong."""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from inference_app.errors import InvalidRequestError
from inference_app.model import Datatype, Tensor
from inference_app.protocols.codec import Body, describe

# Packing is strict where numpy's own conversions are not: no strings, no null, no fractions for integers, and in the
# standard sizes ("<") no overflow. Only booleans pass, which are integers to Python.
_FORMATS = {
    Datatype.UINT8: "B",
    Datatype.UINT16: "H",
    Datatype.UINT32: "I",
    Datatype.UINT64: "Q",
    Datatype.INT8: "b",
    Datatype.INT16: "h",
    Datatype.INT32: "i",
    Datatype.INT64: "q",
    Datatype.FP16: "e",
    Datatype.FP32: "f",
    Datatype.FP64: "d",
}
_FLOATS = "efd"


def may_hold_booleans(text: Body) -> bool:
    """Whether a JSON text can have a `true` or `false` in it: never without the letters r and l.

    One look at the text costs a tenth of a look at every value, and most requests have neither letter.
    """
    return 0x72 in text or 0x6C in text


def to_array(values: list[Any], shape: Sequence[int], datatype: Datatype, *, booleans: bool) -> Tensor | None:
    """Values as one array.

    Args:
        values: Parsed JSON, flat, in row-major order; as many as the shape has elements.
        shape: The array's.
        datatype: The array's.
        booleans: Whether there may be booleans among them; False where `may_hold_booleans` says so.

    Returns:
        A read-only array; None where a value is wrong, which `wrong_element` names.
    """
    code = _FORMATS.get(datatype)
    if code is None:
        return _booleans_or_texts(values, shape, datatype)
    if booleans and bool in set(map(type, values)):
        return None
    try:
        return np.ndarray(shape, datatype.dtype, _packer(code, len(values))(*values))
    except (struct.error, OverflowError):
        return None


def wrong_element(values: list[Any], datatype: Datatype, at: Callable[[int], str]) -> InvalidRequestError:
    """The error for the first value that `to_array` does not take.

    Args:
        values: What `to_array` refused.
        datatype: The array's.
        at: The place of a flat index, as the client would write it.
    """
    for index, value in enumerate(values):
        if type(value) not in _TYPES[datatype]:
            return InvalidRequestError(f"{at(index)}: expected {_article(noun(datatype))}, got {describe(value)}")
    index = next(index for index, value in enumerate(values) if not _fits(value, datatype))
    return InvalidRequestError(f"{at(index)}: {describe(values[index])} does not fit {datatype}")


def noun(datatype: Datatype) -> str:
    """What JSON calls an element of this type."""
    if datatype is Datatype.BOOL:
        return "boolean"
    if datatype is Datatype.BYTES:
        return "string"
    return "number" if _FORMATS[datatype] in _FLOATS else "integer"


# By exact type: to Python a JSON true is an int too.
_TYPES: dict[Datatype, set[type]] = {
    Datatype.BOOL: {bool},
    Datatype.BYTES: {str},
    **{datatype: {int, float} if code in _FLOATS else {int} for datatype, code in _FORMATS.items()},
}


@lru_cache(maxsize=256)
def _packer(code: str, count: int) -> Callable[..., bytes]:
    return struct.Struct(f"<{count}{code}").pack


def _booleans_or_texts(values: list[Any], shape: Sequence[int], datatype: Datatype) -> Tensor | None:
    if not set(map(type, values)) <= _TYPES[datatype]:
        return None
    array = np.empty(len(values), dtype=datatype.dtype)
    array[:] = values
    return array.reshape(shape)


def _fits(value: float, datatype: Datatype) -> bool:
    if datatype not in _FORMATS:
        return True
    try:
        _packer(_FORMATS[datatype], 1)(value)
    except (struct.error, OverflowError):
        return False
    return True


def _article(word: str) -> str:
    return f"an {word}" if word[0] == "i" else f"a {word}"
