"""What the registry holds under an alias."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from model_publisher.errors import PublishError

_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds for each step


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A model version that an alias points at.

    Attributes:
        name: The registered model.
        version: Its version, a decimal number as MLflow writes it.
        sha256: SHA-256 in hexadecimal of its `model.onnx`, or of the list of its files, `SHA256SUMS`.
        metrics: What was measured before it was published.
    """

    name: str
    version: str
    sha256: str
    metrics: Mapping[str, float]


def _login() -> tuple[str, str] | None:
    """User and password from where MLflow's own client has them."""
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return None if user is None else (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))


def find_published(mlflow_url: str, name: str, alias: str) -> PublishedVersion | None:
    """What an alias points at, or None where there is no such alias or model.

    Asks MLflow's REST API itself, for its client library takes seconds to import and minutes to give up.

    Raises:
        PublishError: MLflow cannot be asked.
    """
    with httpx.Client(base_url=f"{mlflow_url.rstrip('/')}/api/2.0/mlflow", timeout=_TIMEOUT, auth=_login()) as http:
        try:
            found = http.get("/registered-models/alias", params={"name": name, "alias": alias})
            # An unknown model is 404; an unknown alias of a known model is 400.
            if found.status_code in {400, 404}:
                return None
            version = found.raise_for_status().json()["model_version"]
            run = http.get("/runs/get", params={"run_id": version.get("run_id", "")})
            # A version need not come from a run, and a run can be deleted.
            data: dict[str, Any] = {} if run.status_code in {400, 404} else run.raise_for_status().json()["run"]["data"]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
            raise PublishError(
                f"no useful answer ({type(error).__name__}: {error})",
                where=f"MLflow at {mlflow_url}",
                remedy="check --mlflow-url and that MLflow is running",
            ) from error
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
    metrics = {metric["key"]: float(metric["value"]) for metric in data.get("metrics", [])}
    return PublishedVersion(name, version["version"], tags.get("sha256", tags.get("sha256sums", "")), metrics)
