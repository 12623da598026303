from pathlib import Path

import pytest

from tools import golang
from tools.golang import Build

BUILDS = (golang.KUBERNETES, golang.BUILDKIT, golang.KIND, *golang.ENGINE)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.module)
def test_every_module_is_pinned_and_checked(build: Build) -> None:
    folder = golang.SOURCES / build.module
    assert (folder / "go.sum").read_text().strip()
    wanted = next(line.split()[1] for line in (folder / "go.mod").read_text().splitlines() if line.startswith("go "))
    assert tuple(map(int, wanted.split(".")[:2])) <= golang.OLDEST_GO


def test_a_changed_source_makes_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "SOURCES", tmp_path)
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "go.sum").write_text("one")
    build = Build("module", {"program": "."}, {})
    before = build.key
    assert build.key == before
    (tmp_path / "module" / "go.sum").write_text("two")
    assert build.key != before
    assert Build("module", {"program": "."}, {"main.version": "2"}).key != build.key


def test_the_engine_is_the_version_that_is_compiled() -> None:
    pinned = (golang.SOURCES / "engine" / "go.mod").read_text()
    (version,) = golang.PULUMI.variables.values()
    assert f"github.com/pulumi/pulumi/pkg/v3 {version}" in pinned
