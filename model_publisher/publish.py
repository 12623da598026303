"""Publishing, step by step; the alias moves last."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator  # pyright: ignore[reportMissingTypeStubs]

from model_publisher.errors import PublishError
from model_publisher.export import export
from model_publisher.folder import SUMS_FILE, digests, sums
from model_publisher.golden import golden_cases
from model_publisher.onnx_folder import MODEL_FILE, OnnxFolder
from model_publisher.parity import check_parity, run_onnx
from model_publisher.published import PublishedVersion, find_published
from model_publisher.tracking import Candidate, register


def publish(  # noqa: PLR0913 - two things to publish, the rest by name
    model: BaseEstimator,
    features: NDArray[Any],
    *,
    name: str,
    mlflow_url: str,
    alias: str = "production",
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> PublishedVersion:
    """Publish a fitted scikit-learn model as a new version, and point the alias at it.

    Args:
        model: A fitted classifier or regressor, or a pipeline that ends in one.
        features: Rows to compare the exported model on, shape (rows, features); they are compared as float32, which is
            what the exported model takes. Bring all you have.
        name: The registered model; made if absent.
        mlflow_url: The tracking server. Artifacts go through its proxy; no credentials for the store are needed.
        alias: What to point at the new version once all else is done.
        params: How the model was trained.
        metrics: What was measured of it; `parity_max_diff` is added.

    Raises:
        PublishError: nothing was published, no alias was moved.
    """
    rows = _as_rows(features)
    find_published(mlflow_url, name, alias)  # MLflow's own client would take minutes to say that it is not there
    exported = export(model, rows.shape[1])
    content = exported.SerializeToString()
    outputs = run_onnx(content, rows)
    measured = {**(metrics or {}), "parity_max_diff": check_parity(model, rows, outputs)}
    sha256 = hashlib.sha256(content).hexdigest()
    folder = OnnxFolder(
        exported,
        example_inputs=rows[:2],
        example_outputs={key: array[:2] for key, array in outputs.items()},
        golden=golden_cases(exported.graph.input[0].name, rows, outputs),
    )
    candidate = Candidate(
        name=name,
        alias=alias,
        save=folder.save,
        digests={MODEL_FILE: sha256},
        tags={"sha256": sha256},
        params=params or {},
        metrics=measured,
    )
    return PublishedVersion(name, register(candidate, mlflow_url), sha256, measured)


def publish_folder(  # noqa: PLR0913 - one thing to publish, the rest by name
    folder: Path,
    *,
    name: str,
    mlflow_url: str,
    alias: str = "production",
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> PublishedVersion:
    """Publish a model of any MLflow flavour as a new version, and point the alias at it.

    The server runs it in a worker process, as `pyfunc:/<name>@<alias>`.

    Args:
        folder: What the flavour's `save_model` wrote, with a signature; an input example in it is what the server warms
            the model up on, and a `golden.json` beside its `MLmodel` what the server checks it with.
        name: The registered model; made if absent.
        mlflow_url: The tracking server. Artifacts go through its proxy; no credentials for the store are needed.
        alias: What to point at the new version once all else is done.
        params: How the model was trained.
        metrics: What was measured of it.

    Returns:
        The version, with the SHA-256 of its list of files, `SHA256SUMS`.

    Raises:
        PublishError: nothing was published, no alias was moved.
    """
    found = digests(folder)
    listed = sums(found)
    sha256 = hashlib.sha256(listed).hexdigest()
    find_published(mlflow_url, name, alias)  # as above

    def save(into: Path, known: object) -> None:
        del known  # it was saved before MLflow knew anything of it
        for path in found:
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / path, into / path)
        (into / SUMS_FILE).write_bytes(listed)

    candidate = Candidate(
        name=name,
        alias=alias,
        save=save,
        digests={**found, SUMS_FILE: sha256},
        tags={"sha256sums": sha256},
        params=params or {},
        metrics=metrics or {},
    )
    return PublishedVersion(name, register(candidate, mlflow_url), sha256, metrics or {})


def _as_rows(features: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rows = np.asarray(features, dtype=np.float32)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise PublishError(
            f"expected rows x features of finite float32, got shape {rows.shape}",
            where="features",
            remedy="give a two-dimensional array of numbers without gaps",
        )
    return rows
