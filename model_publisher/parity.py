"""Does the exported model say what the original says? On every row, before anything is published."""
# scikit-learn and onnxruntime ship no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier

from model_publisher.errors import PublishError

# Official builds report to their maker and keep a database in the home directory, unless told before they load.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

_TOLERANCE = 1e-5  # of probabilities; relative where a regressor's values are above 1

Arrays = Mapping[str, NDArray[Any]]


def run_onnx(content: bytes, features: NDArray[np.float32]) -> Arrays:
    """What an exported model gives for these rows, by output name."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    outputs = cast("list[NDArray[Any]]", session.run(names, {session.get_inputs()[0].name: features}))
    return dict(zip(names, outputs, strict=True))


def check_parity(model: BaseEstimator, features: NDArray[np.float32], outputs: Arrays) -> float:
    """Compare the exported model with the original.

    Args:
        model: The fitted original.
        features: The rows to compare on, shape (rows, features).
        outputs: What the exported model gave for them.

    Returns:
        The largest difference found.

    Raises:
        PublishError: a label differs, or a number by more than 1e-5; names the row and the difference.
    """
    original: Any = model
    predicted = np.asarray(original.predict(features))
    first, *rest = outputs.values()
    if not is_classifier(model):
        return _largest_difference("prediction", predicted.reshape(first.shape), first)
    if (differing := np.flatnonzero(predicted != first)).size:
        row = int(differing[0])
        raise _failure(f"row {row}: label {first[row]!r} instead of {predicted[row]!r}")
    return _largest_difference("probability", np.asarray(original.predict_proba(features)), rest[0])


def _largest_difference(what: str, expected: NDArray[Any], got: NDArray[Any]) -> float:
    difference = np.abs(expected - got).reshape(len(got), -1).max(axis=1)
    allowed = _TOLERANCE * np.maximum(1, np.abs(expected)).reshape(len(got), -1).max(axis=1)
    # Written so that a NaN fails.
    if (failing := np.flatnonzero(~(difference <= allowed))).size:
        row = int(failing[0])
        raise _failure(f"row {row}: {what} differs by {difference[row]:.3g}, allowed is {allowed[row]:.3g}")
    return float(difference.max())


def _failure(what: str) -> PublishError:
    return PublishError(
        what,
        where="parity with scikit-learn",
        remedy="scale the features, or use estimators that compute well in single precision",
    )
