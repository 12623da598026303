"""scikit-learn to ONNX."""
# scikit-learn, skl2onnx and onnxruntime ship no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any, cast

import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, is_classifier

from model_publisher.errors import PublishError


def export(model: BaseEstimator, feature_count: int) -> onnx.ModelProto:
    """Translate a fitted model to ONNX.

    Args:
        model: A fitted scikit-learn estimator or pipeline.
        feature_count: How many features a row has.

    Returns:
        A model with the input `input`, FP32 [any, feature_count]. Of a classifier the outputs are `label` and
        `probabilities`, a plain tensor of shape [any, classes].

    Raises:
        PublishError: skl2onnx cannot translate it.
    """
    try:
        # With zipmap probabilities would be a list of dictionaries, which no tensor protocol can carry.
        options = {"zipmap": False} if is_classifier(model) else None
        inputs: Any = [("input", FloatTensorType([None, feature_count]))]
        return cast("onnx.ModelProto", to_onnx(model, initial_types=inputs, options=options))
    except Exception as error:
        # skl2onnx raises a dozen unrelated types, one for each thing it does not know.
        raise PublishError(
            f"{type(error).__name__}: {error}",
            where=f"export of {type(model).__name__} to ONNX",
            remedy="use estimators that skl2onnx supports, or register a converter for this one",
        ) from error
