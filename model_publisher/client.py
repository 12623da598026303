"""MLflow's client library, told what it has to know before it is imported; imported from nowhere else."""
# MLflow's types are partial.
# pyright: reportUnknownVariableType=false

import logging
import os
import warnings

# Read when MLflow is imported or used: no reports to its makers, no hunt for a git executable, nothing printed, and a
# server that is gone is given up in seconds rather than minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
# Artifacts go through the server's proxy. Since 3.17 it also offers addresses of the object store itself, which need
# not be reachable from here, and its client does not fall back when they aren't.
os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "false")

with warnings.catch_warnings():
    # It warns of its own type hints.
    warnings.simplefilter("ignore")
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts
    from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, infer_signature
    from mlflow.onnx import save_model

logging.getLogger("mlflow").setLevel(logging.ERROR)

__all__ = [
    "LoggedModel",
    "LoggedModelOutput",
    "Metric",
    "MlflowClient",
    "MlflowException",
    "Model",
    "Param",
    "download_artifacts",
    "infer_signature",
    "save_model",
]
