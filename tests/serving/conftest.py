from collections.abc import Iterator

import pytest

from tests.serving.support.mlflow_server import MlflowServer
from tests.serving.support.object_store import ObjectStore, object_store
from tests.serving.support.postgres import postgres


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres") / "postgres.log") as url:
        yield url


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="session")
def mlflow_server(
    database: str, store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    server = MlflowServer(database, store, tmp_path_factory.mktemp("mlflow") / "mlflow.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()
