"""The cache: what it keeps, what it lets go of, and what a full disk does."""

import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inference_app.registry.cache import ModelCache
from inference_app.registry.target import Target
from tests.app.support import models
from tests.app.support.following import Following, model
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.processes import eventually

_MLFLOW = "models:/demo@production"
_KIB = 1024


def _target(version: str, content: bytes, name: str = "demo") -> Target:
    return Target(name, version, "somewhere", models.sha256(content))


def _content(version: int, size: int = 10 * _KIB) -> bytes:
    return bytes([version]) * size


def _keep(cache: ModelCache, version: int, name: str = "demo", size: int = 10 * _KIB) -> Target:
    content = _content(version, size)
    target = _target(str(version), content, name)
    with cache.incoming(name) as incoming:
        half = size // 2
        assert incoming.receive("model.onnx", iter([content[:half], content[half:]])) == target.sha256
        file = cache.keep(incoming, target)
    assert cache.find(target) == file
    return target


def _age(root: Path, target: Target, seconds: int) -> None:
    place = root / target.name / target.key
    os.utime(place, (place.stat().st_atime - seconds, place.stat().st_mtime - seconds))


def _versions(root: Path, name: str = "demo") -> list[str]:
    return sorted(place.name.split("-")[0] for place in (root / name).glob("[0-9]*"))


def _used(root: Path) -> int:
    return sum(file.stat().st_size for file in root.rglob("*") if file.is_file())


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, 45 * _KIB, ["demo", "other"])
    targets = [_keep(cache, version) for version in (1, 2, 3)]
    elsewhere = _keep(cache, 9, "other")
    for age, target in enumerate([*reversed(targets), elsewhere]):
        _age(tmp_path, target, 100 * age)
    assert cache.find(elsewhere), "which makes it the one used last"
    _keep(cache, 4)
    assert _versions(tmp_path) == ["2", "3", "4"]
    assert _versions(tmp_path, "other") == ["9"]
    _keep(cache, 5, size=25 * _KIB)
    assert _versions(tmp_path) == ["4", "5"]
    assert _used(tmp_path) <= 45 * _KIB


def test_what_is_held_or_last_good_stays(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, 45 * _KIB, ["demo"])
    held, good, third = (_keep(cache, version) for version in (1, 2, 3))
    cache.hold("demo", [held])
    cache.remember_good(good)
    _age(tmp_path, held, 300)
    _age(tmp_path, good, 200)
    _age(tmp_path, third, 100)
    with pytest.raises(OSError, match="the cache may take 46080 bytes, and all that is in it is in use"):
        _keep(cache, 4, size=40 * _KIB)
    assert _versions(tmp_path) == ["1", "2"]
    assert not list((tmp_path / "demo").glob(".incoming-*"))
    assert cache.last_good("demo") == good


def test_the_limit_holds_over_a_restart(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, 100 * _KIB, ["demo", "gone"])
    for version in (1, 2, 3):
        cache.remember_good(_keep(cache, version, "gone"))
    (tmp_path / "demo" / ".incoming-killed").mkdir()
    (tmp_path / "demo" / ".incoming-killed" / "model.onnx").write_bytes(bytes(50 * _KIB))
    again = ModelCache(tmp_path, 25 * _KIB, ["demo"])
    assert not (tmp_path / "demo" / ".incoming-killed").exists()
    _keep(again, 1)
    assert _versions(tmp_path) == ["1"]
    assert len(_versions(tmp_path, "gone")) <= 1, "of a model that is not served any more nothing is held"
    assert _used(tmp_path) <= 25 * _KIB


@pytest.mark.parametrize("damage", ["content", "cut", "absent", "manifest", "side file"])
def test_damage_is_noticed(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    cache = ModelCache(tmp_path, 100 * _KIB, ["demo"])
    target = _target("1", b"content")
    with cache.incoming("demo") as incoming:
        incoming.receive("golden.json", [b"{}"])
        incoming.receive("model.onnx", [b"content"])
        file = cache.keep(incoming, target)
    assert cache.find(target) == file
    if damage == "content":
        file.write_bytes(b"contenT")
    elif damage == "cut":
        os.truncate(file, 3)
    elif damage == "absent":
        file.unlink()
    elif damage == "manifest":
        file.with_name("manifest.json").write_text("{")
    else:
        file.with_name("golden.json").write_text("{ }")
    assert cache.find(target) is None
    eventually(
        lambda: "the cached copy of demo version 1 is damaged; it is removed" in caplog.text, "the reason in the log"
    )
    assert _versions(tmp_path) == []
    with cache.incoming("demo") as incoming:
        incoming.receive("model.onnx", [b"content"])
        assert cache.keep(incoming, target) == file


def test_a_pinned_target_is_found_by_its_pin(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, 100 * _KIB, ["demo"])
    pinned = Target("demo", "1", "s3://bucket/1", None, pin='"etag"')
    with cache.incoming("demo") as incoming:
        incoming.receive("model.onnx", [b"content"])
        cache.keep(incoming, pinned)
    cache.remember_good(pinned)
    again = ModelCache(tmp_path, 100 * _KIB, ["demo"])
    assert again.last_good("demo") == pinned
    assert again.find(pinned) is not None
    assert again.find(Target("demo", "1", "s3://bucket/1", None, pin='"other"')) is None


@contextmanager
def _no_file_larger_than(size: int) -> Generator[None]:
    """What the kernel refuses to write here is refused as by a full disk, but for the error's number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_what_is_served(
    tmp_path: Path, mlflow: MlflowStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url) as following:
        following.await_default("1")
        with _no_file_larger_than(2**20):
            mlflow.publish("2", models.padded(3, 4 * 2**20))
            following.await_failures("2", 2)
            assert following.answer() == [[2, 4, 6]]
        eventually(
            lambda: "fetching version 2 failed, next try in 1 s: [Errno 27] File too large" in caplog.text,
            "the reason in the log",
        )
        eventually(
            lambda: "fetching version 2 failed, next try in 2 s: [Errno 27] File too large" in caplog.text,
            "the reason in the log",
        )
        downloads = mlflow.downloads
        eventually(lambda: mlflow.downloads > downloads, "another try")
        assert following.default() in {"1", "2"}
    assert not list(tmp_path.glob("*/.incoming-*"))


def test_a_full_cache_leaves_what_is_served(
    tmp_path: Path, mlflow: MlflowStandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference_app.registry.follower._LINGER_SECONDS", 0.05)
    mlflow.publish("1", models.padded(2, 10 * _KIB))
    limit = 25 * _KIB
    with Following(tmp_path, model(_MLFLOW), mlflow_url=mlflow.url, cache_bytes=limit) as following:
        following.await_default("1")
        mlflow.publish("2", models.padded(3, limit))
        following.await_failures("2")
        eventually(
            lambda: f"the cache may take {limit} bytes, and all that is in it is in use" in caplog.text,
            "the reason in the log",
        )
        assert following.answer() == [[2, 4, 6]]
        mlflow.publish("3", models.padded(4, 10 * _KIB))
        following.await_default("3")
        assert _versions(tmp_path, "demo") == ["1", "3"]
        mlflow.publish("4", models.padded(5, 10 * _KIB))
        following.await_default("4")
        assert _versions(tmp_path, "demo") == ["3", "4"], "what stood by has given way"


def test_followers_share_it(tmp_path: Path, mlflow: MlflowStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_app.registry.follower._LINGER_SECONDS", 0.05)
    names = [f"model-{number}" for number in range(6)]
    limit = 20 * (len(models.scaling(2)) + 600)  # a version takes as much, with its manifest
    with Following(
        tmp_path, *(model(_MLFLOW, name) for name in names), mlflow_url=mlflow.url, cache_bytes=limit
    ) as following:
        for version in range(1, 9):
            mlflow.publish(str(version), models.scaling(version))
            for name in names:
                following.await_default(str(version), name)
            assert _used(tmp_path) <= limit + 6 * 600, "notes come and go unasked"
    for name in names:
        assert "8" in _versions(tmp_path, name)
