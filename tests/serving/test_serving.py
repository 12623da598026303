"""From the publisher to the prediction, through a real registry, database and object store."""
# scikit-learn ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model_publisher.example import Example, train
from model_publisher.publish import publish
from model_publisher.published import PublishedVersion
from tests.app.support.load import Load
from tests.app.support.processes import eventually
from tests.app.support.server import InferenceServer
from tests.serving.support.mlflow_server import MlflowServer
from tests.serving.support.object_store import ObjectStore

_NAME = "breast-cancer"


@pytest.fixture(scope="module")
def example() -> Example:
    return train(seed=0)


def _publish(example: Example, server: MlflowServer, alias: str = "production") -> PublishedVersion:
    return publish(example.model, example.features, name=_NAME, mlflow_url=server.url, alias=alias)


@pytest.fixture(scope="module")
def published(example: Example, mlflow_server: MlflowServer) -> PublishedVersion:
    return _publish(example, mlflow_server)


@pytest.fixture
def server(tmp_path: Path, mlflow_server: MlflowServer, published: PublishedVersion) -> Iterator[InferenceServer]:
    """A server of whatever is in production now."""
    assert published.name == _NAME
    with InferenceServer(tmp_path, mlflow_server.url, _NAME) as running:
        eventually(running.is_ready, "a model to be served")
        yield running


def test_every_row_is_predicted_as_scikit_learn_does(server: InferenceServer, example: Example) -> None:
    predictions = server.predict(example.features.tolist()).json()["predictions"]
    labels = [prediction["label"] for prediction in predictions]
    assert len(labels) == 569
    np.testing.assert_array_equal(labels, example.model.predict(example.features))
    probabilities = [prediction["probabilities"] for prediction in predictions]
    np.testing.assert_allclose(probabilities, example.model.predict_proba(example.features), rtol=0, atol=1e-5)
    plain = server.http.post("/predict", json={"data": example.features.tolist()}).json()
    assert plain == {"prediction": labels, "modelVersion": server.version()}


def test_a_new_version_takes_over_under_load(
    server: InferenceServer, mlflow_server: MlflowServer, example: Example
) -> None:
    before = server.version() or ""
    body = {"instances": example.features[:4].tolist()}
    with Load(str(server.http.base_url), f"/v1/models/{_NAME}:predict", body) as load:
        eventually(lambda: load.answered_by(before), "predictions of the old version")
        after = _publish(train(seed=1), mlflow_server).version
        eventually(lambda: load.answered_by(after) > 20, "predictions of the new version")
    assert load.failures() == []


def test_an_overwritten_artifact_is_refused(
    server: InferenceServer, mlflow_server: MlflowServer, store: ObjectStore, example: Example
) -> None:
    before = server.version()
    candidate = _publish(example, mlflow_server, alias="candidate")
    store.overwrite(mlflow_server.model_file(_NAME, candidate.version), b"\x08\x0a not what was published")
    mlflow_server.set_alias(_NAME, "production", candidate.version)
    eventually(lambda: server.log_lines(level="error", version=candidate.version), "the version to be refused")
    assert server.version() == before
    assert server.predict(example.features[:1].tolist()).status_code == 200
    assert server.metric(f'model_load_success{{model="{_NAME}",version="{candidate.version}"}}') == 0
    mlflow_server.set_alias(_NAME, "production", before or "")


def test_serving_goes_on_without_mlflow(
    tmp_path: Path, mlflow_server: MlflowServer, published: PublishedVersion, example: Example
) -> None:
    row = example.features[:1].tolist()
    with InferenceServer(tmp_path, mlflow_server.url, published.name) as server:
        eventually(server.is_ready, "a model to be served")
        version = server.version()
        mlflow_server.stop()
        try:
            eventually(lambda: server.log_lines(level="warning"), "the loss to be noticed")
            assert server.predict(row).headers["x-model-version"] == version
            server.process.terminate()
            assert server.process.wait() == 0
            with InferenceServer(tmp_path, mlflow_server.url, published.name) as restarted:
                eventually(restarted.is_ready, "the cached model to be served")
                assert restarted.predict(row).headers["x-model-version"] == version
        finally:
            mlflow_server.start()
