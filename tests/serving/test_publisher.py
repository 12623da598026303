"""Publishing to a real MLflow: what is registered, and what is not when something is wrong."""
# scikit-learn ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

from model_publisher import tracking
from model_publisher.__main__ import main
from model_publisher.client import download_artifacts
from model_publisher.errors import PublishError
from model_publisher.parity import check_parity
from model_publisher.publish import publish, publish_folder
from model_publisher.published import find_published
from tests.app.support.processes import eventually, free_port
from tests.app.support.pyfunc_models import ROWS, fitted, save_columns
from tests.app.support.server import InferenceServer
from tests.serving.support.mlflow_server import MlflowServer

_FEATURES = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
_LABELS = (_FEATURES[:, 0] > 0).astype(np.int64)


@pytest.fixture(scope="module")
def classifier() -> LogisticRegression:
    return LogisticRegression().fit(_FEATURES, _LABELS)


def _api(server: MlflowServer, endpoint: str, **query: str) -> Any:
    return httpx.get(f"{server.url}/api/2.0/mlflow/{endpoint}", params=query).raise_for_status().json()


def test_the_example_is_published_once(mlflow_server: MlflowServer, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--mlflow-url", mlflow_server.url, "--name", "example", "--if-absent"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    [line] = output.out.splitlines()
    assert output.err == ""
    first = json.loads(line)
    assert (first["name"], first["version"], first["created"]) == ("example", "1", True)
    assert first["metrics"]["accuracy"] > 0.94
    assert first["metrics"]["log_loss"] < 0.2
    assert first["metrics"]["parity_max_diff"] < 1e-5

    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {**first, "created": False}


def test_a_version_carries_all_that_a_server_needs(mlflow_server: MlflowServer, classifier: LogisticRegression) -> None:
    published = publish(
        classifier,
        _FEATURES,
        name="complete",
        mlflow_url=mlflow_server.url,
        alias="candidate",
        params={"seed": "0"},
        metrics={"accuracy": 0.5},
    )
    assert find_published(mlflow_server.url, "complete", "candidate") == published
    version = _api(mlflow_server, "registered-models/alias", name="complete", alias="candidate")["model_version"]
    assert version["tags"] == [{"key": "sha256", "value": published.sha256}]
    data = _api(mlflow_server, "runs/get", run_id=version["run_id"])["run"]["data"]
    assert {item["key"] for item in data["metrics"]} == {"accuracy", "parity_max_diff"}
    assert data["params"] == [{"key": "seed", "value": "0"}]
    location = _api(mlflow_server, "model-versions/get-download-uri", name="complete", version="1")["artifact_uri"]
    artifacts = f"{mlflow_server.url}/api/2.0/mlflow-artifacts/artifacts{location.removeprefix('mlflow-artifacts:')}"
    assert hashlib.sha256(httpx.get(f"{artifacts}/model.onnx").content).hexdigest() == published.sha256
    description = httpx.get(f"{artifacts}/MLmodel").text
    assert "input_example.json" in description
    assert '"shape": [-1, 4]' in description


def test_a_regressor_goes_the_same_way(mlflow_server: MlflowServer) -> None:
    model = LinearRegression().fit(_FEATURES, _FEATURES @ np.arange(4) * 1000)
    assert publish(model, _FEATURES, name="regressor", mlflow_url=mlflow_server.url).version == "1"


def test_a_folder_of_any_flavour_is_published_with_every_file_s_digest(
    mlflow_server: MlflowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_columns(tmp_path / "model", fitted())
    assert main(["--mlflow-url", mlflow_server.url, "--name", "folder", "--folder", str(folder)]) == 0
    published = json.loads(capsys.readouterr().out)
    version = _api(mlflow_server, "registered-models/alias", name="folder", alias="production")["model_version"]
    assert version["tags"] == [{"key": "sha256sums", "value": published["sha256"]}]
    assert find_published(mlflow_server.url, "folder", "production") is not None
    location = _api(mlflow_server, "model-versions/get-download-uri", name="folder", version="1")["artifact_uri"]
    downloaded = download_artifacts(artifact_uri=location, dst_path=str(tmp_path), tracking_uri=mlflow_server.url)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(check, cwd=downloaded, capture_output=True, check=True)
    assert len(checked.stdout.splitlines()) == sum(1 for each in folder.rglob("*") if each.is_file())
    sums = Path(downloaded, "SHA256SUMS").read_bytes()
    assert hashlib.sha256(sums).hexdigest() == published["sha256"]


def test_a_published_folder_is_served(mlflow_server: MlflowServer, tmp_path: Path) -> None:
    model = fitted()
    publish_folder(save_columns(tmp_path / "model", model), name="churn", mlflow_url=mlflow_server.url)
    served = [{"name": "churn", "source": "pyfunc:/churn@production"}]
    settings = {"INFERENCE_MODEL_NAME": "", "INFERENCE_MODELS": json.dumps(served)}
    with InferenceServer(tmp_path / "server", mlflow_server.url, "churn", **settings) as server:
        eventually(server.is_ready, "the model to be served", timeout=60)
        rows = ROWS.to_dict(orient="records")
        assert server.predict(rows).json() == {"predictions": np.asarray(model.predict(ROWS)).tolist()}


def test_a_folder_that_no_server_could_serve_registers_nothing(mlflow_server: MlflowServer, tmp_path: Path) -> None:
    folder = save_columns(tmp_path / "model", fitted())
    (folder / "link").symlink_to("MLmodel")
    with pytest.raises(PublishError, match="'link' is a link"):
        publish_folder(folder, name="linked", mlflow_url=mlflow_server.url)
    (folder / "link").unlink()
    description = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(description.replace("python_function:", "something_else:"))
    with pytest.raises(PublishError, match="it has no flavour python_function"):
        publish_folder(folder, name="linked", mlflow_url=mlflow_server.url)
    with pytest.raises(PublishError, match="the model folder"):
        publish_folder(tmp_path, name="linked", mlflow_url=mlflow_server.url)
    assert httpx.get(f"{mlflow_server.url}/api/2.0/mlflow/registered-models/get?name=linked").status_code == 404


def test_a_folder_needs_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--mlflow-url", "http://127.0.0.1:9", "--folder", "model"])
    assert "--folder needs --name" in capsys.readouterr().err


def test_a_failure_on_the_way_leaves_the_alias(
    mlflow_server: MlflowServer, classifier: LogisticRegression, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(classifier, _FEATURES, name="failing", mlflow_url=mlflow_server.url)

    def lose_bytes(**_: object) -> str:
        return __file__

    monkeypatch.setattr(tracking, "download_artifacts", lose_bytes)
    with pytest.raises(PublishError, match=r"the artifact store behind MLflow: stored model\.onnx has SHA-256"):
        publish(classifier, _FEATURES, name="failing", mlflow_url=mlflow_server.url)
    assert find_published(mlflow_server.url, "failing", "production") == first


def test_a_model_that_differs_registers_nothing(
    mlflow_server: MlflowServer, classifier: LogisticRegression, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off_by_a_little(features: NDArray[Any]) -> NDArray[Any]:
        probabilities: NDArray[Any] = LogisticRegression.predict_proba(classifier, features)
        probabilities[7] += 1e-3
        return probabilities

    monkeypatch.setattr(classifier, "predict_proba", off_by_a_little, raising=False)
    with pytest.raises(PublishError, match=r"row 7: probability differs by 0\.001, allowed is 1e-05"):
        publish(classifier, _FEATURES, name="differing", mlflow_url=mlflow_server.url)
    assert find_published(mlflow_server.url, "differing", "production") is None
    assert httpx.get(f"{mlflow_server.url}/api/2.0/mlflow/registered-models/get?name=differing").status_code == 404


def test_parity_names_a_label(classifier: LogisticRegression) -> None:
    labels = np.array(classifier.predict(_FEATURES))
    labels[3] = 1 - labels[3]
    with pytest.raises(PublishError, match="parity with scikit-learn: row 3: label"):
        check_parity(classifier, _FEATURES, {"label": labels, "probabilities": classifier.predict_proba(_FEATURES)})


@pytest.mark.parametrize(
    "features", [np.array([[1, np.nan]]), np.array([[1e39]]), np.zeros((0, 3)), np.zeros(3)], ids=str
)
def test_features_must_be_finite_rows(features: NDArray[Any], classifier: LogisticRegression) -> None:
    with pytest.raises(PublishError, match="features: expected rows x features of finite float32"):
        publish(classifier, features, name="any", mlflow_url="http://127.0.0.1:9")


def test_mlflow_away_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["--mlflow-url", url]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"MLflow at {url}: no useful answer (ConnectError")
    assert output.err.count("\n") == 1
