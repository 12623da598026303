"""Registration at MLflow: the only module that knows its client library."""
# MLflow's types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from model_publisher.errors import PublishError
from model_publisher.golden import GOLDEN_FILE

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

_MODEL_FILE = "model.onnx"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that has passed every check and is not registered yet.

    Attributes:
        name: The registered model.
        alias: What to point at it.
        model: The ONNX model.
        sha256: SHA-256 of its serialised form.
        example_inputs: A few rows, shape (rows, features).
        example_outputs: What the model gives for them, by output name.
        golden: Its golden cases; None for none.
        params: How it was trained.
        metrics: What was measured of it.
    """

    name: str
    alias: str
    model: onnx.ModelProto
    sha256: str
    example_inputs: NDArray[np.float32]
    example_outputs: Mapping[str, NDArray[Any]]
    golden: bytes | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def register(candidate: Candidate, mlflow_url: str) -> str:
    """Upload and register a candidate, then point its alias at it.

    Returns:
        The new version.

    Raises:
        PublishError: a step failed; the alias is where it was.
    """
    client = MlflowClient(mlflow_url)
    try:
        with warnings.catch_warnings():
            # Deprecations inside of MLflow's dependencies are not for who publishes a model.
            warnings.simplefilter("ignore")
            return _register(client, candidate, mlflow_url)
    except MlflowException as error:
        raise PublishError(
            str(error), where=f"registration at MLflow at {mlflow_url}", remedy="see MLflow's log, then publish again"
        ) from error


def _register(client: MlflowClient, candidate: Candidate, mlflow_url: str) -> str:
    experiment_id = _experiment(client, candidate.name)
    run_id = client.create_run(experiment_id, run_name=candidate.name).info.run_id
    status = "FAILED"
    now = time.time_ns() // 1_000_000
    try:
        client.log_batch(
            run_id,
            metrics=[Metric(key, value, timestamp=now, step=0) for key, value in candidate.metrics.items()],
            params=[Param(key, value) for key, value in candidate.params.items()],
        )
        logged = _upload(client, candidate, experiment_id, run_id)
        _verify(candidate, logged, mlflow_url)
        version = _create_version(client, candidate, logged, run_id)
        client.set_registered_model_alias(candidate.name, candidate.alias, version)
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)
    return version


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name)


def _upload(client: MlflowClient, candidate: Candidate, experiment_id: str, run_id: str) -> LoggedModel:
    logged = client.create_logged_model(experiment_id, candidate.name, run_id, params=dict(candidate.params))
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save_model(
            candidate.model,
            str(path),
            mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id),
            signature=infer_signature(candidate.example_inputs, dict(candidate.example_outputs)),
            input_example=candidate.example_inputs,
            pip_requirements=["onnxruntime"],  # given, for MLflow would load the model to find out
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,  # one file, one SHA-256
        )
        if candidate.golden is not None:
            (path / GOLDEN_FILE).write_bytes(candidate.golden)
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")
    return logged


def _verify(candidate: Candidate, logged: LoggedModel, mlflow_url: str) -> None:
    """Read the model back: what is stored must be what was checked."""
    with tempfile.TemporaryDirectory() as folder:
        file = download_artifacts(
            artifact_uri=f"{logged.artifact_location}/{_MODEL_FILE}", dst_path=folder, tracking_uri=mlflow_url
        )
        stored = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    if stored != candidate.sha256:
        raise PublishError(
            f"stored {_MODEL_FILE} has SHA-256 {stored}, {candidate.sha256} was uploaded",
            where="the artifact store behind MLflow",
            remedy="check the store, then publish again",
        )


def _create_version(client: MlflowClient, candidate: Candidate, logged: LoggedModel, run_id: str) -> str:
    try:
        client.create_registered_model(candidate.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        candidate.name,
        source=f"models:/{logged.model_id}",
        run_id=run_id,
        tags={"sha256": candidate.sha256},
        model_id=logged.model_id,
    )
    return str(version.version)
