"""Faults of everything that the server depends on: killed in the middle, disk full, cache damaged, MLflow hanging."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.support import models
from tests.app.support.following import Following, model
from tests.app.support.load import Load
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.processes import eventually
from tests.app.support.server import InferenceServer

_MLFLOW = "models:/demo@production"
_ROW = [[1, 2, 3]]


def test_killed_in_a_switch_the_old_model_answers_without_mlflow(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        downloads = mlflow.downloads
        mlflow.faults.flowing.clear()
        mlflow.publish("2", models.scaling(3))
        eventually(lambda: mlflow.downloads > downloads, "the download to begin")
        server.process.kill()
    mlflow.faults.flowing.set()
    mlflow.faults.api_status = 503
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        assert server.predict(_ROW).json() == {"predictions": [[2, 4, 6]]}
        assert not list(server.cache.glob(".incoming-*"))
        mlflow.faults.api_status = None
        server.await_version("2")
        assert server.predict(_ROW).json() == {"predictions": [[3, 6, 9]]}


class _OnSmallDisk(InferenceServer):
    # In a mount namespace of its own: needs no rights, and is gone with the server.
    within = (
        *("unshare", "--user", "--map-root-user", "--mount"),
        *("sh", "-c", 'mount -t tmpfs -o size=2m,nr_inodes=64 tmpfs "$INFERENCE_CACHE_DIR" && exec "$@"', "sh"),
    )


def test_a_full_disk_of_a_running_server(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with _OnSmallDisk(tmp_path, mlflow.url, INFERENCE_CACHE_DIR=str(disk)) as server:
        server.await_version("1")
        with Load(str(server.http.base_url), "/v1/models/demo:predict", {"instances": _ROW}) as load:
            mlflow.publish("2", models.padded(3, 3 * 2**20))
            failed = 'model_load_success{model="demo",version="2"}'
            eventually(lambda: server.metric(failed) == 0, "the download to fail")
            before = load.answered_by("1")
            eventually(lambda: load.answered_by("1") > before + 20, "more answers of the old version")
        assert load.failures() == []
        assert any("No space left on device" in line["message"] for line in server.log_lines(level="warning"))
        mlflow.publish("3", models.scaling(4))
        server.await_version("3")
        assert server.predict(_ROW).json() == {"predictions": [[4, 8, 12]]}


def _garbage(place: Path) -> None:
    for file in [*place.glob("*"), *place.parent.glob("*.json")]:
        file.write_bytes(b"\xff\0garbage")


def _folder_for_file(place: Path) -> None:
    (place / "model.onnx").unlink()
    (place / "model.onnx").mkdir()


def _file_for_folder(place: Path) -> None:
    shutil.rmtree(place)
    place.write_bytes(b"")


def _folder_for_manifest(place: Path) -> None:
    (place / "manifest.json").unlink()
    (place / "manifest.json").mkdir()


def _folder_for_note(place: Path) -> None:
    (place.parent / "last-good.json").unlink()
    (place.parent / "last-good.json").mkdir()


def _link_to_nowhere(place: Path) -> None:
    (place / "model.onnx").unlink()
    (place / "model.onnx").symlink_to("nowhere")


def _emptied(place: Path) -> None:
    for file in place.glob("*"):
        file.write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        _garbage,
        _folder_for_file,
        _file_for_folder,
        _folder_for_manifest,
        _folder_for_note,
        _link_to_nowhere,
        _emptied,
        shutil.rmtree,
    ],
)
def test_no_damage_to_the_cache_outlives_a_look_at_mlflow(
    tmp_path: Path, mlflow: MlflowStandIn, damage: Callable[[Path], None]
) -> None:
    with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
        following.await_default("1")
    [place] = (tmp_path / "demo").glob("1-*")
    damage(place)
    mlflow.faults.api_status = 503
    with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
        following.look()
        assert following.default() in {None, "1"}
        mlflow.faults.api_status = None
        following.await_default("1")
        assert following.answer() == [[2, 4, 6]]
    mlflow.faults.api_status = 503
    with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
        following.look()
        assert following.default() == "1", "it was not put right for good"


def test_a_hanging_mlflow_holds_up_neither_answers_nor_the_end(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    names = [f"demo-{number}" for number in range(8)]
    listed = json.dumps([{"name": name, "source": _MLFLOW} for name in names])
    with InferenceServer(tmp_path, mlflow.url, names[0], INFERENCE_MODEL_NAME="", INFERENCE_MODELS=listed) as server:
        eventually(server.is_ready, "all models")
        mlflow.faults.api_delay = 9
        resolves = mlflow.asked
        eventually(lambda: mlflow.asked >= resolves + len(names), "every follower to hang")
        began = time.monotonic()
        for _ in range(50):
            assert server.predict(_ROW).status_code == 200
        assert time.monotonic() - began < 3
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait() == 0
        assert time.monotonic() - began < 8, "each follower was waited for"
