"""Arrays as values that the JSON writer takes."""

from typing import Any

import numpy as np

from inference_app.model import Tensor

# What orjson writes from numpy itself: faster than through Python numbers, and FP32 in its own shortest form.
_NATIVE = frozenset("biuf")


def to_json(array: Tensor) -> Any:
    """An array as the JSON writer takes it: numbers as they are, strings as nested lists.

    NaN and Infinity, which JSON does not have, are written as null.
    """
    return np.ascontiguousarray(array) if array.dtype.kind in _NATIVE and array.ndim else array.tolist()
