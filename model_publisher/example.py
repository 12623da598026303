"""The example model: tumours from scikit-learn's bundled breast cancer data, 569 rows of 30 features."""
# scikit-learn ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

_HELD_OUT = 0.25
_MAX_ITER = 1000


@dataclass(frozen=True, slots=True)
class Example:
    """A trained model and what is to be known of it.

    Attributes:
        model: The fitted pipeline: labels 0 (malignant) and 1 (benign).
        features: Every row of the data, float32, shape (569, 30).
        params: How it was trained.
        metrics: Accuracy and log loss on the rows held out from training.
    """

    model: Pipeline
    features: NDArray[np.float32]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def train(seed: int) -> Example:
    """Train the example.

    Args:
        seed: Chooses the rows held out; the same seed gives the same model.
    """
    data, target = load_breast_cancer(return_X_y=True)
    features = np.asarray(data, dtype=np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        features, target, test_size=_HELD_OUT, random_state=seed, stratify=target
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_MAX_ITER))
    model.fit(train_x, train_y)
    return Example(
        model=model,
        features=features,
        params={"seed": str(seed), "held_out": str(_HELD_OUT), "estimator": "StandardScaler, LogisticRegression"},
        metrics={
            "accuracy": float(accuracy_score(test_y, model.predict(test_x))),
            "log_loss": float(log_loss(test_y, model.predict_proba(test_x))),
        },
    )
