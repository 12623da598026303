from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tools import stack_file
from tools.errors import ToolError
from tools.places import Home

values = st.dictionaries(st.text("abcdef:", min_size=1, max_size=8), st.text(max_size=8) | st.booleans(), max_size=4)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stack_file, "REPOSITORY", tmp_path)
    (tmp_path / "Pulumi.local.yaml").write_text("config: {a: committed, kubernetes:context: mine}\n")
    return tmp_path


def test_what_is_committed_goes_before_what_the_machine_suggests(repository: Path) -> None:
    home = Home(repository)
    written = stack_file.write(home, "local-2", {"a": "machine", "b": "machine"})
    config = yaml.safe_load(written.read_text())["config"]
    assert config == {"a": "committed", "b": "machine", "kubernetes:context": "mine"}


def test_the_engines_own_lines_survive(repository: Path) -> None:
    home = Home(repository)
    written = stack_file.write(home, "other", {})
    written.write_text(written.read_text() + "encryptionsalt: v1:abc\n")
    assert yaml.safe_load(stack_file.write(home, "other", {}).read_text())["encryptionsalt"] == "v1:abc"


def test_a_broken_file_is_named(repository: Path) -> None:
    (repository / "Pulumi.broken.yaml").write_text("config: [")
    with pytest.raises(ToolError, match=r"Pulumi\.broken\.yaml"):
        stack_file.committed("broken")


@given(machine=values)
def test_any_machine_value_is_written_and_read_back(
    machine: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    written = stack_file.write(Home(tmp_path_factory.mktemp("home")), "local", machine)
    config = yaml.safe_load(written.read_text())["config"]
    assert config == {**machine, **stack_file.committed("local")}
