"""Golden cases: what the server runs before it serves a version, to see that it computes what was computed here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

GOLDEN_FILE = "golden.json"
_ROWS = 8
_MOST_BYTES = 2**20  # which the server takes
_ATOL, _RTOL = 1e-5, 1e-4  # between processors; a label is the same or it is not


def golden_cases(input_name: str, rows: NDArray[np.float32], outputs: Mapping[str, NDArray[Any]]) -> bytes | None:
    """The first eight rows with their outputs, or as many as fit into 1 MiB; None where not one does.

    Args:
        input_name: The model's one input.
        rows: Shape (rows, features).
        outputs: What the model gave for them, by output name.
    """
    for count in (_ROWS, 1):
        document = {
            "inputs": {input_name: rows[:count].tolist()},
            "outputs": {name: array[:count].tolist() for name, array in outputs.items()},
            "atol": _ATOL,
            "rtol": _RTOL,
        }
        written = orjson.dumps(document)
        if len(written) <= _MOST_BYTES:
            return written
    return None
