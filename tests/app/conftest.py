from collections.abc import Iterator

import pytest

from tests.app.support import models
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.server import InferenceServer


@pytest.fixture
def mlflow() -> Iterator[MlflowStandIn]:
    """MLflow's stand-in with version 1, which doubles every number."""
    with MlflowStandIn() as stand_in:
        stand_in.publish("1", models.scaling(2))
        yield stand_in


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServer]:
    """One server for a module's tests, which leave it as it is: `demo`, version 1, doubles three numbers a row."""
    with MlflowStandIn() as stand_in:
        stand_in.publish("1", models.scaling(2))
        with InferenceServer(
            tmp_path_factory.mktemp("server"),
            stand_in.url,
            INFERENCE_MAX_BODY_BYTES="65536",
            INFERENCE_ACCESS_LOG_PER_SECOND="100000",
        ) as server:
            server.await_version("1")
            yield server
