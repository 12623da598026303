"""Real predictions by real pods, through the Service."""
# scikit-learn ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from model_publisher.example import Example, train
from model_publisher.publish import publish
from model_publisher.published import PublishedVersion
from tests.app.support.load import Load
from tests.app.support.processes import eventually
from tests.platform import Platform

pytestmark = pytest.mark.timeout(3600)
INFERENCE = ("--selector", "app.kubernetes.io/component=predictor")
MLFLOW = ("--selector", "app.kubernetes.io/component=model-registry")


@pytest.fixture(scope="module")
def example() -> Example:
    return train(seed=0)


@pytest.fixture
def inference(platform: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.outputs["inferenceUrl"], timeout=20) as client:
        yield client


def _publish(platform: Platform, example: Example, alias: str) -> PublishedVersion:
    outputs = platform.outputs
    return publish(
        example.model, example.features, name=outputs["modelName"], mlflow_url=outputs["mlflowUrl"], alias=alias
    )


def _path(platform: Platform) -> str:
    return f"/v1/models/{platform.outputs['modelName']}:predict"


def _predict(client: httpx.Client, platform: Platform, example: Example) -> httpx.Response:
    return client.post(_path(platform), json={"instances": example.features.tolist()})


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:  # no pod stands behind the Service
        return False


def _pod(platform: Platform) -> dict[str, Any]:
    """The one inference pod that is there to stay, once it is ready."""

    def staying() -> list[dict[str, Any]]:
        pods = [pod for pod in platform.get("pods", *INFERENCE) if "deletionTimestamp" not in pod["metadata"]]
        return pods if len(pods) == 1 and _is_ready(pods[0]) else []

    return eventually(staying, "one ready inference pod", timeout=60)[0]


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def _mlflow(platform: Platform, call: str, **body: str) -> None:
    httpx.post(f"{platform.outputs['mlflowUrl']}/api/2.0/mlflow/{call}", json=body, timeout=20).raise_for_status()


def test_every_row_is_predicted_as_scikit_learn_does(
    platform: Platform, inference: httpx.Client, example: Example
) -> None:
    predictions = _predict(inference, platform, example).raise_for_status().json()["predictions"]
    labels = [prediction["label"] for prediction in predictions]
    assert len(labels) == 569
    np.testing.assert_array_equal(labels, example.model.predict(example.features))
    probabilities = [prediction["probabilities"] for prediction in predictions]
    np.testing.assert_allclose(probabilities, example.model.predict_proba(example.features), rtol=0, atol=1e-5)


def test_a_new_version_takes_over_under_load_and_a_corrupt_one_is_refused(
    platform: Platform, inference: httpx.Client, example: Example
) -> None:
    name = platform.outputs["modelName"]
    before = _predict(inference, platform, example).headers["x-model-version"]
    body = {"instances": example.features[:4].tolist()}
    with Load(platform.outputs["inferenceUrl"], _path(platform), body) as load:
        eventually(lambda: load.answered_by(before) > 20, "predictions of the old version")
        after = _publish(platform, train(seed=1), "production").version
        eventually(lambda: load.answered_by(after) > 20, "predictions of the new version")
        corrupt = _publish(platform, example, "candidate").version
        _mlflow(platform, "model-versions/set-tag", name=name, version=corrupt, key="sha256", value="0" * 64)
        _mlflow(platform, "registered-models/alias", name=name, version=corrupt, alias="production")
        refused = f'model_load_success{{model="{name}",version="{corrupt}"}} 0'
        eventually(lambda: refused in inference.get("/metrics").text, "the corrupt version to be refused")
        switched = load.answered_by(after)
        eventually(lambda: load.answered_by(after) > switched + 20, "predictions after the refusal")
    assert load.failures() == []
    assert not load.answered_by(corrupt)
    _mlflow(platform, "registered-models/alias", name=name, version=before, alias="production")
    eventually(
        lambda: _predict(inference, platform, example).headers["x-model-version"] == before, "the first version again"
    )


def test_a_killed_pod_comes_back(platform: Platform, inference: httpx.Client, example: Example) -> None:
    pod = _pod(platform)
    platform.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    another = _pod(platform)
    assert another["metadata"]["uid"] != pod["metadata"]["uid"]
    eventually(lambda: _answers(inference), "the Service to know the new pod", timeout=60)
    assert _predict(inference, platform, example).status_code == 200


def test_without_mlflow_a_restarted_server_starts_from_its_last_good_copy(
    platform: Platform, inference: httpx.Client, example: Example
) -> None:
    version = _predict(inference, platform, example).headers["x-model-version"]
    pod = _pod(platform)
    platform.kubectl("scale", "deployment", *MLFLOW, "--replicas=0")
    try:
        platform.kubectl("wait", "pods", *MLFLOW, "--for=delete", "--timeout=60s")
        assert _predict(inference, platform, example).headers["x-model-version"] == version
        kill = "import os, signal; os.kill(1, signal.SIGTERM)"
        platform.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", kill)

        def restarted() -> bool:
            (container,) = _pod(platform)["status"]["containerStatuses"]
            return container["restartCount"] > 0

        eventually(restarted, "the container to be ready again", timeout=60)
        eventually(lambda: _answers(inference), "the Service to know it again", timeout=60)
        assert _predict(inference, platform, example).headers["x-model-version"] == version
    finally:
        platform.kubectl("scale", "deployment", *MLFLOW, "--replicas=1")
        platform.kubectl("wait", "deployments", *MLFLOW, "--for=condition=Available", "--timeout=120s")
