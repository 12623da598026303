"""Arrays as values that the JSON writer takes."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import orjson

from inference_app.model import Datatype, Tensor, TensorSpec

# What orjson writes from numpy itself: faster than through Python numbers, and FP32 in its own shortest form.
NATIVE = frozenset("biuf")


def to_json(array: Tensor, spec: TensorSpec) -> Any:
    """An array as the JSON writer takes it: nested lists of numbers, booleans and strings.

    NaN and Infinity, which JSON does not have, are written as null. Bytes that are no UTF-8 text are written
    `{"b64": "..."}` (TensorFlow Serving, "RESTful API", "Encoding binary values"). Where the model says what the places
    of the last dimension mean, they are objects by that label.
    """
    if spec.labels:
        return _labelled(array, spec.labels)
    if spec.datatype is Datatype.BYTES:
        return _texts(array.tolist())
    # orjson writes no arrays without dimensions, and only those that are contiguous.
    return np.ascontiguousarray(array) if array.ndim and array.dtype.kind in NATIVE else array.tolist()


def write(document: dict[str, Any]) -> bytes:
    """A document that may hold arrays, as JSON in UTF-8."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _labelled(array: Tensor, labels: tuple[str, ...]) -> list[Any]:
    if array.ndim > 1:
        return [_labelled(row, labels) for row in array]
    # numpy's own scalars, which keep the precision that they are written in.
    return cast("Any", dict(zip(labels, cast("Iterable[object]", array), strict=True)))


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(item) for item in cast("list[Any]", value)]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": b64encode(value).decode()}
