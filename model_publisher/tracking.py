"""Registration at MLflow."""
# MLflow's types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model_publisher.client import (
    LoggedModel,
    LoggedModelOutput,
    Metric,
    MlflowClient,
    MlflowException,
    Model,
    Param,
    download_artifacts,
)
from model_publisher.errors import PublishError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that has passed every check and is not registered yet.

    Attributes:
        name: The registered model.
        alias: What to point at it.
        save: Writes its folder, which is not there yet; told what MLflow knows of it already.
        digests: SHA-256 in hexadecimal of the files that must arrive as they were checked, by path in that folder.
        tags: The version's tags, by which servers verify it.
        params: How it was trained.
        metrics: What was measured of it.
    """

    name: str
    alias: str
    save: Callable[[Path, Model], None]
    digests: Mapping[str, str]
    tags: Mapping[str, str]
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
        known = Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id)
        candidate.save(path, known)
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")
    return logged


def _verify(candidate: Candidate, logged: LoggedModel, mlflow_url: str) -> None:
    """Read the model back: what is stored must be what was checked."""
    for path, checked in candidate.digests.items():
        with tempfile.TemporaryDirectory() as folder:
            file = download_artifacts(
                artifact_uri=f"{logged.artifact_location}/{path}", dst_path=folder, tracking_uri=mlflow_url
            )
            stored = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        if stored != checked:
            raise PublishError(
                f"stored {path} has SHA-256 {stored}, {checked} was uploaded",
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
        tags=dict(candidate.tags),
        model_id=logged.model_id,
    )
    return str(version.version)
