"""A model brought from a real S3 store before the server starts."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_app import fetch
from inference_app.registry.target import BrokenModelError, NoSuchModelError
from tests.app.support import models
from tests.app.support.buckets import Place, place_in
from tests.serving.support.object_store import object_store

_MODEL = models.scaling(3)
_SHA256 = hashlib.sha256(_MODEL).hexdigest()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with object_store(tmp_path_factory.mktemp("store")) as store:
        place = place_in(store, "fetched/")
        place.put("m/7/model.onnx", _MODEL)
        place.put("m/plain/model.onnx", _MODEL)
        yield place


@pytest.mark.parametrize(("path", "version"), [("m/7", "7"), ("m/plain", "1")])
def test_it_arrives_with_a_manifest(bucket: Place, tmp_path: Path, path: str, version: str) -> None:
    fetch.fetch(bucket.uri(f"{path}/model.onnx"), _SHA256, tmp_path, bucket.environment)
    assert (tmp_path / "model.onnx").read_bytes() == _MODEL
    assert json.loads((tmp_path / "manifest.json").read_text()) == {"version": version, "sha256": _SHA256}


def test_another_content_than_asked_for_has_no_manifest(bucket: Place, tmp_path: Path) -> None:
    with pytest.raises(BrokenModelError, match=f"has SHA-256 {_SHA256}, asked for is {'0' * 64}"):
        fetch.fetch(bucket.uri("m/7/model.onnx"), "0" * 64, tmp_path, bucket.environment)
    assert not (tmp_path / "manifest.json").exists()


def test_a_file_that_is_not_there(bucket: Place, tmp_path: Path) -> None:
    with pytest.raises(NoSuchModelError):
        fetch.fetch(bucket.uri("m/8/model.onnx"), _SHA256, tmp_path, bucket.environment)


@pytest.mark.parametrize(
    "arguments", [[], ["file:///m/model.onnx", _SHA256, "/models"], ["s3://b/m/model.onnx", "1", "/models"]]
)
def test_what_cannot_be_is_said_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(arguments) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
