"""Following a source, whichever it is: what is served, what is refused, what outlives it. Without the server."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_app.registry import BrokenImageError
from tests.app.support import models
from tests.app.support.following import Following, model
from tests.app.support.mlflow_stand_in import MlflowStandIn, Version
from tests.app.support.processes import eventually, free_port

_MLFLOW = "models:/demo@production"
_REPOSITORY = Path(__file__).parents[2]


def _golden(factor: float, rows: int = 3, **more: object) -> bytes:
    inputs = [[float(row), 1.0, 2.0] for row in range(rows)]
    outputs = [[value * factor for value in row] for row in inputs]
    return json.dumps({"inputs": {"input": inputs}, "outputs": {"output": outputs}, **more}).encode()


def _put(folder: Path, version: str, content: bytes, **beside: bytes) -> Path:
    """A version in a folder, renamed into place as a whole."""
    building = folder / f".{version}"
    building.mkdir(parents=True)
    (building / "model.onnx").write_bytes(content)
    for name, each in beside.items():
        (building / name.replace("_", ".")).write_bytes(each)
    return building.rename(folder / version)


class TestMlflow:
    """An alias that moves."""

    def test_switches_and_goes_back_without_a_load(self, tmp_path: Path, mlflow: MlflowStandIn) -> None:
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            following.await_default("1")
            mlflow.publish("2", models.scaling(3))
            following.await_default("2")
            following.look()
            assert following.versions == ["2"]
            assert following.answer() == [[3, 6, 9]]
            downloads, loads = mlflow.downloads, len(following.loads)
            mlflow.alias = "1"
            following.await_default("1")
            following.look()
            assert following.versions == ["1"]
            assert (mlflow.downloads, len(following.loads)) == (downloads, loads)
            assert not any(loaded.is_closed for loaded in following.loads)

    def test_what_is_replaced_twice_is_closed(
        self, tmp_path: Path, mlflow: MlflowStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inference_app.registry.follower._LINGER_SECONDS", 0.05)
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            following.await_default("1")
            for version in ("2", "3"):
                mlflow.publish(version, models.scaling(float(version)))
                following.await_default(version)
            eventually(lambda: following.loads[0].is_closed, "version 1 to be closed")
            assert [loaded.is_closed for loaded in following.loads] == [True, False, False]
        assert [loaded.is_closed for loaded in following.loads] == [True, True, False]

    def test_the_source_may_have_another_name(self, tmp_path: Path, mlflow: MlflowStandIn) -> None:
        with Following(tmp_path, model(_MLFLOW, "mine"), mlflow_url=mlflow.url) as following:
            following.await_default("1", "mine")
            assert [each.name for each in tmp_path.iterdir()] == ["mine"]

    def test_slow_and_failing_and_gone(self, tmp_path: Path) -> None:
        with MlflowStandIn() as mlflow:
            mlflow.publish("1", models.scaling(2))
            with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
                following.await_default("1")
                mlflow.faults.api_delay = 0.5
                mlflow.publish("2", models.scaling(3))
                assert following.answer() == [[2, 4, 6]]
                following.await_default("2")
                mlflow.faults.api_delay, mlflow.faults.api_status = 0, 500
                following.look()
                mlflow.__exit__()
                following.look()
                assert following.answer() == [[3, 6, 9]]
            port = mlflow.port
        with Following(tmp_path, model(_MLFLOW), mlflow_url=f"http://127.0.0.1:{port}") as following:
            following.await_default("2")
            with MlflowStandIn(port) as mlflow:
                mlflow.publish("3", models.scaling(4))
                following.await_default("3")

    def test_a_truncated_file_is_tried_again_and_a_poke_waits_for_nothing(
        self, tmp_path: Path, mlflow: MlflowStandIn
    ) -> None:
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url, poll_seconds=3600) as following:
            following.await_default("1")
            mlflow.faults.truncate_to = 40
            mlflow.publish("2", models.scaling(3))
            for count in (1, 2, 3):
                following.look()
                assert following.observed.count("failed", "2") == count
            assert following.default() == "1"
            assert not list(tmp_path.glob("*/.incoming-*"))
            mlflow.faults.truncate_to = None
            following.look()
            assert following.default() == "2"

    def test_a_wrong_hash_is_refused_once(self, tmp_path: Path, mlflow: MlflowStandIn) -> None:
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            following.await_default("1")
            mlflow.publish("2", models.scaling(3), "0" * 64)
            following.await_failures("2")
            downloads = mlflow.downloads
            following.look()
            following.look()
            assert (mlflow.downloads, following.observed.count("failed", "2")) == (downloads, 1)
            mlflow.versions["2"].sha256 = models.sha256(models.scaling(3))
            following.await_default("2")

    def test_a_variant_where_the_version_promises_one(self, tmp_path: Path, mlflow: MlflowStandIn) -> None:
        small = models.scaling(20)
        with Following(tmp_path, model(_MLFLOW, variant="int8"), mlflow_url=mlflow.url) as following:
            following.await_default("1")
            assert not following.models.find("demo").model.quantized
            mlflow.versions["2"] = Version(
                models.scaling(2),
                models.sha256(models.scaling(2)),
                beside={"model.int8.onnx": small, "golden.json": _golden(7), "golden.int8.json": _golden(20)},
                tags={"sha256.int8": models.sha256(small)},
            )
            mlflow.alias = "2"
            following.await_default("2")
            assert following.models.find("demo").model.quantized
            assert following.answer() == [[20, 40, 60]]

    def test_a_withdrawn_model_is_followed_on(self, tmp_path: Path, mlflow: MlflowStandIn) -> None:
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            following.await_default("1")
            slot = following.models.only
            assert slot is not None
            slot.withdraw()
            mlflow.publish("2", models.scaling(3, features=4))
            following.await_failures("2")
            mlflow.publish("3", models.scaling(3))
            eventually(lambda: following.observed.count("loaded", "3"), "version 3 behind the scenes")
            slot.offer()
            assert following.default() == "3"

    def test_killed_in_a_switch_it_comes_back_with_what_was_seen(self, tmp_path: Path) -> None:
        script = f"""
import sys, time
from pathlib import Path
from tests.app.support.following import Following, model
with Following(Path({str(tmp_path / "cache")!r}), model({_MLFLOW!r}), mlflow_url=sys.argv[1], poll_seconds=0.001) as it:
    seen = None
    while True:
        if it.default() not in (None, seen):
            seen = it.default()
            print(seen, flush=True)
        time.sleep(0.0005)
"""
        with MlflowStandIn() as mlflow:
            for version in range(1, 40):
                mlflow.versions[str(version)] = Version(models.scaling(version), models.sha256(models.scaling(version)))
            latest = 1
            for delay in (0.0, 0.003, 0.008, 0.015, 0.03):
                mlflow.alias = str(latest)
                command, environment = [sys.executable, "-c", script, mlflow.url], {**os.environ, "PYTHONPATH": "."}
                with subprocess.Popen(
                    command, stdout=subprocess.PIPE, text=True, env=environment, cwd=_REPOSITORY
                ) as process:
                    assert process.stdout is not None
                    seen = [process.stdout.readline().strip()]
                    latest += 1
                    mlflow.alias = str(latest)
                    time.sleep(delay)
                    process.kill()
                    seen += process.stdout.read().split()
                with Following(tmp_path / "cache", model(_MLFLOW), mlflow_url=f"http://127.0.0.1:{free_port()}") as it:
                    found = int(eventually(it.default, "the last good version") or 0)
                    # Never older than what was seen; newer only where the kill came between the note and the switch.
                    assert int(seen[-1]) <= found <= latest
                    assert it.answer() == [[found, 2 * found, 3 * found]]
                assert not list((tmp_path / "cache").glob("*/.incoming-*"))


class TestChecks:
    """What lies beside a model file."""

    @pytest.mark.parametrize(
        ("golden", "reason"),
        [
            (_golden(4), "golden cases: output 'output', row 0: 3.0 instead of 4.0"),
            (
                _golden(3).replace(b"6.0", b"6.1", 1),
                "golden cases: output 'output', row 0: 6.0 instead of 6.1",
            ),
            (_golden(3).replace(b'"output"', b'"other"'), "golden cases: output 'other' is expected"),
            (_golden(3).replace(b'"input"', b'"x"'), "golden cases: inputs are x, it takes input"),
            (b'{"inputs": {"input": [[1, 2, 3]]}, "outputs": {"output": [[3, 6]]}}', "has shape (1, 3), expected"),
            (b'{"inputs": {"input": [[1], [2, 3]]}, "outputs": {}}', "its golden.json cannot be run: ValueError"),
            (b"{}", "its golden.json is wrong at inputs: Field required"),
            (b"[", "its golden.json is wrong at the document"),
            (b" " * (2**20 + 1), "its golden.json is larger than 1048576 bytes"),
        ],
        ids=["values", "one value", "output", "input", "shape", "ragged", "empty", "no JSON", "large"],
    )
    def test_golden_cases_that_fail(
        self, tmp_path: Path, mlflow: MlflowStandIn, caplog: pytest.LogCaptureFixture, golden: bytes, reason: str
    ) -> None:
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            following.await_default("1")
            mlflow.publish("2", models.scaling(3), golden_json=golden)
            following.await_failures("2")
            assert following.default() == "1"
            eventually(lambda: reason in caplog.text, "the reason in the log")
            assert all(loaded.is_closed for loaded in following.loads[1:])

    def test_golden_cases_that_pass(self, tmp_path: Path, mlflow: MlflowStandIn) -> None:
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            mlflow.publish("2", models.scaling(3), golden_json=_golden(3.001, rtol=1e-3))
            following.await_default("2")

    @pytest.mark.parametrize(
        ("inputs", "reason"),
        [
            ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}], None),
            ([{"type": "tensor", "name": "input", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}], None),
            ([{"type": "double", "name": f"it's column {i}", "required": True} for i in range(3)], None),
            ([{"type": "array", "items": {"type": "double"}, "name": f"c{i}"} for i in range(3)], None),
            (
                [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}],
                "MLflow's signature has input 'input' as float64 [-1, 3], the model takes input: FP32[any, 3]",
            ),
            (
                [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}],
                "MLflow's signature has input 'input' as float32 [-1, 4], the model takes input: FP32[any, 3]",
            ),
            (
                [{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}],
                "MLflow's signature has an input 'x', the model takes input: FP32[any, 3]",
            ),
            (
                [{"type": "long", "name": f"column {i}"} for i in range(20)],
                "MLflow's signature has 20 columns, the model takes input: FP32[any, 3]",
            ),
        ],
        ids=["tensor", "named", "columns", "arrays", "type", "shape", "name", "count"],
    )
    def test_mlflows_signature(
        self,
        tmp_path: Path,
        mlflow: MlflowStandIn,
        caplog: pytest.LogCaptureFixture,
        inputs: object,
        reason: str | None,
    ) -> None:
        yaml = pytest.importorskip("yaml")
        # As MLflow writes it, which folds long lines.
        document: dict[str, object] = {
            "flavors": {"onnx": 1},
            "signature": {"inputs": json.dumps(inputs), "outputs": None},
            "z": "1",
        }
        described = yaml.safe_dump(document, default_flow_style=False).encode()
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            mlflow.publish("2", models.scaling(3), MLmodel=described)
            if reason is None:
                following.await_default("2")
            else:
                following.await_failures("2")
                eventually(lambda: reason in caplog.text, "the reason in the log")

    def test_the_publishers_golden_cases_are_those_that_are_checked(
        self, tmp_path: Path, mlflow: MlflowStandIn
    ) -> None:
        golden = pytest.importorskip("model_publisher.golden")
        rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
        written: Any = golden.golden_cases("input", rows, {"output": rows * np.float32(3)})
        assert len(json.loads(written)["inputs"]["input"]) == 8
        with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
            following.await_default("1")
            mlflow.publish("2", models.scaling(4), golden_json=written)
            following.await_failures("2")
            mlflow.publish("3", models.scaling(3), golden_json=written)
            following.await_default("3")


class TestDirectory:
    """Folders of versions, and a folder that is one."""

    def test_the_latest_versions_by_number(self, tmp_path: Path) -> None:
        folder = tmp_path / "models"
        for version in ("2", "9", "10"):
            _put(folder, version, models.scaling(int(version)))
        (folder / "11").mkdir()
        (folder / "notes").mkdir()
        with Following(tmp_path / "cache", model(f"file://{folder}", latest=2)) as following:
            eventually(lambda: following.versions == ["10", "9"], "two versions")
            assert following.default() == "10"
            assert following.answer() == [[10, 20, 30]]
            assert following.answer(version="9") == [[9, 18, 27]]
            assert following.observed.events == [("loaded", "demo", "10"), ("added", "demo", "9")]
            (folder / "11" / "model.onnx").write_bytes(models.scaling(11))
            eventually(lambda: following.versions == ["10", "11"], "the next two versions")
            assert following.default() == "11"
            assert ("unloaded", "demo", "9") in following.observed.events
            assert [loaded.file.parent.parent for loaded in following.loads] == [folder] * 3
        assert not list((tmp_path / "cache").rglob("*.onnx"))

    def test_specific_versions(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        folder = tmp_path / "models"
        for version in ("1", "2", "3"):
            _put(folder, version, models.scaling(int(version)))
        with Following(tmp_path / "cache", model(f"file://{folder}", specific=("1", "2", "7"))) as following:
            eventually(lambda: following.versions == ["1", "2"], "the two that are there")
            assert following.default() == "2"
            eventually(lambda: "has no version 7" in caplog.text, "the reason in the log")

    def test_a_folder_with_a_model_is_version_1(self, tmp_path: Path) -> None:
        folder = tmp_path / "with space"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(models.scaling(2))
        with Following(tmp_path / "cache", model(f"file://{tmp_path}/with%20space")) as following:
            following.await_default("1")
            stamp = (folder / "model.onnx").stat()
            os.utime(folder / "model.onnx", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
            following.look()
            following.look()
            assert len(following.loads) == 1, "the same content is the same target"
            (folder / "next").write_bytes(models.scaling(3))
            (folder / "next").replace(folder / "model.onnx")
            eventually(lambda: following.answer() == [[3, 6, 9]], "the new content")
            assert following.versions == ["1"]

    def test_a_broken_version_leaves_the_next_best(self, tmp_path: Path) -> None:
        folder = tmp_path / "models"
        _put(folder, "1", models.scaling(1))
        _put(folder, "2", models.scaling(2), golden_json=_golden(5))
        with Following(tmp_path / "cache", model(f"file://{folder}", latest=2)) as following:
            following.await_default("1")
            assert following.observed.count("failed", "2") == 1
            (folder / "2" / "golden.json").unlink()
            (folder / "2" / "model.onnx").write_bytes(models.scaling(4))
            following.await_default("2")
            assert following.versions == ["1", "2"]

    def test_after_a_restart_the_last_good_version_is_found_where_it_lies(self, tmp_path: Path) -> None:
        folder = tmp_path / "models"
        _put(folder, "1", models.scaling(1))
        with Following(tmp_path / "cache", model(f"file://{folder}")) as following:
            following.await_default("1")
        _put(folder, "2", b"broken")
        with Following(tmp_path / "cache", model(f"file://{folder}")) as following:
            following.await_default("1")
            following.look()
            assert following.observed.count("failed", "2") == 1

    def test_nothing_there(self, tmp_path: Path) -> None:
        folder = tmp_path / "models"
        with Following(tmp_path / "cache", model(f"file://{folder}")) as following:
            following.look()
            assert f"{folder} cannot be read" in following.reason()
            folder.mkdir()
            following.look()
            assert "has no <version>/model.onnx" in following.reason()

    def test_a_variant_where_a_version_has_one(self, tmp_path: Path) -> None:
        folder = tmp_path / "models"
        _put(folder, "1", models.scaling(1), model_int8_onnx=b"")
        (folder / "1" / "model.int8.onnx").write_bytes(models.scaling(8))
        _put(folder, "2", models.scaling(2))
        with Following(tmp_path / "cache", model(f"file://{folder}", latest=2, variant="int8")) as following:
            eventually(lambda: following.versions == ["1", "2"], "both versions")
            assert following.answer(version="1") == [[8, 16, 24]]
            assert following.answer(version="2") == [[2, 4, 6]]


class TestImage:
    """A model baked in."""

    @staticmethod
    def _bake(folder: Path, content: bytes, promised: str | None = None) -> str:
        folder.mkdir()
        (folder / "model.onnx").write_bytes(content)
        manifest = {"version": "7", "sha256": promised or models.sha256(content)}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return f"image://{folder}"

    def test_is_served_before_anything_starts(self, tmp_path: Path) -> None:
        following = Following(tmp_path / "cache", model(self._bake(tmp_path / "baked", models.scaling(2))))
        assert following.followers == []
        assert following.default() == "7"
        assert following.answer() == [[2, 4, 6]]
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize(
        ("files", "reason"),
        [
            ({"model.onnx": None}, "No such file or directory: '.*model.onnx'"),
            ({"manifest.json": None}, "No such file or directory: '.*manifest.json'"),
            ({"model.onnx": b"x"}, "has SHA-256 2d71.*, its manifest promises"),
            ({"manifest.json": b"{}"}, "manifest.json is wrong: version: Field required"),
            ({"golden.json": _golden(5)}, "golden cases: output 'output', row 0"),
        ],
        ids=["no model", "no manifest", "other model", "no version", "golden"],
    )
    def test_a_broken_one_is_a_failed_start(self, tmp_path: Path, files: dict[str, bytes | None], reason: str) -> None:
        source = self._bake(tmp_path / "baked", models.scaling(2))
        for name, content in files.items():
            (tmp_path / "baked" / name).unlink(missing_ok=True)
            if content is not None:
                (tmp_path / "baked" / name).write_bytes(content)
        with pytest.raises(BrokenImageError, match=f"^demo: the image is broken: .*{reason}") as raised:
            Following(tmp_path / "cache", model(source))
        assert "\n" not in str(raised.value)

    def test_one_that_does_not_load(self, tmp_path: Path) -> None:
        source = self._bake(tmp_path / "baked", b"not a model")
        with pytest.raises(BrokenImageError, match=re.escape("it does not load: InvalidProtobuf")):
            Following(tmp_path / "cache", model(source))
