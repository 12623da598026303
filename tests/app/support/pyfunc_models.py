"""Models of MLflow's flavours, saved by MLflow itself."""
# scikit-learn and pandas ship no type information, MLflow's is partial.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow import pyfunc, sklearn  # pyright: ignore[reportPrivateImportUsage] - loaded when asked for
    from mlflow.models import infer_signature
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

logging.getLogger("mlflow").setLevel(logging.ERROR)

ROWS = pd.DataFrame(
    {
        "age": [23.5, 61.0, 35.25, 48.0, 19.0, 70.5],
        "city": ["Bern", "Oslo", "Bern", "Rome", "Oslo", "Rome"],
        "visits": np.array([1, 9, 2, 7, 3, 8], dtype=np.int64),
    }
)
_SCRIPT = '''
"""Does what it is told to."""

import os
import sys
import time

import mlflow
import pandas as pd


class Obedient(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return pd.DataFrame({"said": [self.obey(order) for order in model_input["order"]]})

    def obey(self, order):
        verb, _, what = order.partition(" ")
        if verb == "sleep":
            time.sleep(float(what))
        if verb == "raise":
            raise RuntimeError("the secret recipe")
        if verb == "exit":
            os._exit(int(what))
        if verb == "print":
            print(what, flush=True)
        if verb == "read":
            with open(what, "rb") as file:
                return file.read().decode(errors="replace")
        if verb == "environment":
            return "\\n".join(f"{name}={value}" for name, value in os.environ.items())
        if verb == "ids":
            return f"{os.getpid()} {os.getppid()} {os.getpgrp()}"
        if verb == "shape":
            return {"lie": 1}
        return f"{verb}!"


mlflow.models.set_model(Obedient())
'''


def fitted(*, inverted: bool = False) -> Pipeline:
    """Whether somebody stays, from numbers and words."""
    stays = np.array(["no", "yes", "no", "yes", "no", "yes"])
    columns = make_column_transformer(
        (StandardScaler(), ["age", "visits"]), (OneHotEncoder(handle_unknown="ignore"), ["city"])
    )
    return make_pipeline(columns, LogisticRegression()).fit(ROWS, stays[::-1] if inverted else stays)


def save_columns(folder: Path, model: Pipeline) -> Path:
    """A scikit-learn model of three columns, one of them of words; its example says what it gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sklearn.save_model(
            model,
            str(folder),
            signature=infer_signature(ROWS),
            input_example=ROWS,
            pip_requirements=["scikit-learn"],
        )
    return folder


def save_tensor(folder: Path) -> tuple[Path, LogisticRegression]:
    """A scikit-learn model of one tensor."""
    features = np.random.default_rng(0).normal(size=(40, 3))
    model = LogisticRegression().fit(features, (features[:, 0] > 0).astype(np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sklearn.save_model(
            model,
            str(folder),
            signature=infer_signature(features, model.predict(features)),
            pip_requirements=["scikit-learn"],
        )
    return folder, model


def save_obedient(folder: Path) -> Path:
    """A model in Python that does what its one column of words says, and says what came of it."""
    script = folder.with_suffix(".py")
    script.write_text(_SCRIPT)
    text: Any = DataType.string
    signature = ModelSignature(Schema([ColSpec(text, "order")]), Schema([ColSpec(text, "said")]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyfunc.save_model(str(folder), python_model=str(script), signature=signature, pip_requirements=["mlflow"])
    return folder
