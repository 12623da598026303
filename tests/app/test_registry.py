"""Following the alias: what is served, what is refused, and what outlives MLflow."""

from pathlib import Path

import pytest

from tests.app.support import models
from tests.app.support.load import Load
from tests.app.support.mlflow_stand_in import MlflowStandIn, Version
from tests.app.support.processes import eventually
from tests.app.support.server import InferenceServer

_PREDICT = "/v1/models/demo:predict"
_BODY = {"instances": [[1, 2, 3]]}


def _refusal(server: InferenceServer, version: str) -> str:
    """Wait until a version has been refused; returns the reason in the log, which must be there once."""
    eventually(lambda: server.log_lines(level="error", version=version), f"version {version} to be refused")
    assert server.metric(f'model_load_success{{model="demo",version="{version}"}}') == 0
    [line] = server.log_lines(level="error", version=version)
    return str(line["message"])


def test_switch_under_load_fails_no_request(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        with Load(str(server.http.base_url), _PREDICT, _BODY) as load:
            eventually(lambda: load.answered_by("1") > 20, "predictions of version 1")
            for version in ("2", "3"):
                mlflow.publish(version, models.scaling(float(version)))
                eventually(lambda version=version: load.answered_by(version) > 20, f"predictions of version {version}")
        assert load.failures() == []
        assert server.predict([[1, 2, 3]]).json() == {"predictions": [[3, 6, 9]]}
        assert server.metric('model_load_success{model="demo",version="3"}') == 1


def test_going_back_needs_no_download(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        mlflow.publish("2", models.scaling(4))
        server.await_version("2")
        downloads = mlflow.downloads
        mlflow.alias = "1"
        server.await_version("1")
        assert mlflow.downloads == downloads
        assert server.predict([[1, 2, 3]]).json() == {"predictions": [[2, 4, 6]]}
        assert server.metric('inference_batch_size_count{model="demo",version="1"}') == 1


@pytest.mark.parametrize(
    ("content", "promised", "reason"),
    [
        (models.scaling(5), "0" * 64, "its tag 'sha256' promises 000"),
        (b"not a model", None, "it does not load: InvalidProtobuf"),
        (models.unrunnable(), None, "it does not load: "),
        (
            models.scaling(5, features=4),
            None,
            "takes input: FP32[any, 4], the served version 1 takes input: FP32[any, 3]",
        ),
    ],
    ids=["lying hash", "corrupt file", "fails to warm up", "other inputs"],
)
def test_a_broken_version_keeps_the_old(
    tmp_path: Path, mlflow: MlflowStandIn, content: bytes, promised: str | None, reason: str
) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        mlflow.publish("2", content, promised)
        assert reason in _refusal(server, "2")
        downloads, resolves = mlflow.downloads, mlflow.resolves
        eventually(lambda: mlflow.resolves > resolves + 3, "more looks at the alias")
        assert mlflow.downloads == downloads, "a broken version is not fetched again"
        assert server.is_ready()
        assert server.version() == "1"
        mlflow.publish("3", models.scaling(3))
        server.await_version("3")


@pytest.mark.parametrize("tag", [None, "", "../../../etc"])
def test_a_version_without_hash_is_refused_until_it_has_one(
    tmp_path: Path, mlflow: MlflowStandIn, tag: str | None
) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        content = models.scaling(7)
        mlflow.versions["2"] = Version(content, tag)
        mlflow.alias = "2"
        assert "it has no tag 'sha256'" in _refusal(server, "2")
        mlflow.versions["2"].sha256 = models.sha256(content)
        server.await_version("2")


def test_artifacts_outside_of_the_proxy_are_refused(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        content = models.scaling(5)
        mlflow.versions["2"] = Version(content, models.sha256(content), location="s3://bucket/models/2")
        mlflow.alias = "2"
        assert "--serve-artifacts" in _refusal(server, "2")


def test_a_failed_transfer_is_tried_again(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        mlflow.faults.truncate_to = 40
        mlflow.publish("2", models.scaling(3))
        eventually(lambda: "fetching version 2 failed" in server.process.output(), "a failed download")
        assert server.version() == "1"
        assert server.metric('model_load_success{model="demo",version="2"}') == 0
        mlflow.faults.truncate_to = None
        mlflow.faults.artifact_status = 503
        eventually(lambda: server.process.output().count("fetching version 2 failed") == 2, "another failed download")
        mlflow.faults.artifact_status = None
        server.await_version("2")
        assert server.metric('model_load_success{model="demo",version="2"}') == 1


def test_a_slow_download_holds_up_nothing(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        mlflow.faults.flowing.clear()
        downloads = mlflow.downloads
        mlflow.publish("2", models.scaling(3))
        eventually(lambda: mlflow.downloads > downloads, "a download to begin")
        assert server.predict([[1, 2, 3]]).headers["x-model-version"] == "1"
        mlflow.faults.flowing.set()
        server.await_version("2")


def test_mlflow_away_and_back(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        mlflow.faults.api_status = 500
        eventually(lambda: server.log_lines(level="warning"), "a warning")
        assert server.predict([[1, 2, 3]]).status_code == 200
        mlflow.faults.api_status = None
        mlflow.publish("2", models.scaling(3))
        server.await_version("2")
        assert len(server.log_lines(level="warning")) == 1


def test_restart_without_mlflow_serves_the_last_good_version(tmp_path: Path) -> None:
    with MlflowStandIn() as mlflow:
        mlflow.publish("1", models.scaling(2))
        with InferenceServer(tmp_path, mlflow.url) as server:
            server.await_version("1")
            mlflow.publish("2", models.scaling(3))
            server.await_version("2")
        port = mlflow.port
    with InferenceServer(tmp_path, f"http://127.0.0.1:{port}") as server:
        server.await_version("2")
        assert server.predict([[1, 2, 3]]).json() == {"predictions": [[3, 6, 9]]}
        with MlflowStandIn(port) as mlflow:
            mlflow.publish("3", models.scaling(4))
            server.await_version("3")


def test_restart_on_a_broken_version_serves_the_last_good_one(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
    mlflow.publish("2", b"not a model")
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        _refusal(server, "2")
        downloads, resolves = mlflow.downloads, mlflow.resolves
        eventually(lambda: mlflow.resolves > resolves + 3, "more looks at the alias")
        assert mlflow.downloads == downloads


def test_a_damaged_cached_copy_is_not_served(tmp_path: Path) -> None:
    with MlflowStandIn() as mlflow:
        mlflow.publish("1", models.scaling(2))
        with InferenceServer(tmp_path, mlflow.url) as server:
            server.await_version("1")
            [file] = server.cache.glob("[0-9]*/model.onnx")
        port = mlflow.port
    file.write_bytes(models.scaling(666))
    with InferenceServer(tmp_path, f"http://127.0.0.1:{port}") as server:
        eventually(lambda: server.log_lines(level="error"), "the damage to be noticed")
        assert not server.is_ready()
        with MlflowStandIn(port) as mlflow:
            mlflow.publish("1", models.scaling(2))
            server.await_version("1")
            assert server.predict([[1, 2, 3]]).json() == {"predictions": [[2, 4, 6]]}


def test_writes_only_to_its_cache(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    # Libraries like to leave things at home: onnxruntime a database of what it would report to its maker.
    home = tmp_path / "home"
    home.mkdir()
    with InferenceServer(tmp_path, mlflow.url, HOME=str(home), TMPDIR=str(home)) as server:
        server.await_version("1")
        assert server.predict([[1, 2, 3]]).status_code == 200
    assert list(home.iterdir()) == []


def test_alive_but_not_ready_without_a_model(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    mlflow.alias = None
    with InferenceServer(tmp_path, mlflow.url) as server:
        eventually(lambda: "no alias 'production'" in server.http.get("/readyz").text, "the reason")
        for response in (server.http.get("/readyz"), server.predict([[1, 2, 3]]), server.http.get("/v1/models/demo")):
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
        assert server.http.get("/healthz").status_code == 200
        mlflow.alias = "1"
        server.await_version("1")
