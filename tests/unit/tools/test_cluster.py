import tomllib
from pathlib import Path
from string import Template

import pytest
import yaml

from tools.cluster import choose, kind, local, pki
from tools.cluster.node import API, STORES, WORKERS, Component, Node
from tools.console import Console
from tools.errors import ToolError
from tools.places import Home

COMPONENTS = (*STORES, *API, *WORKERS)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    ports = {"inference": 30080, "mlflow": 30500, "registry": 5000}
    return Node("0a1b2c3d", "10.0.0.1", "10.0.0.2", ports, tmp_path, tmp_path / "run", tmp_path / "cache", [tmp_path])


def test_facts_are_read_as_they_were_written(node: Node, tmp_path: Path) -> None:
    node.save(tmp_path / "node.json")
    assert Node.load(tmp_path / "node.json") == node


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_every_component_names_only_what_the_node_knows(component: Component, node: Node) -> None:
    for word in (*component.command, component.ready):
        assert "$" not in Template(word).substitute(node.values)


@pytest.mark.parametrize("file", sorted(local.FILES.iterdir()), ids=lambda file: file.name)
def test_every_configuration_file_is_well_formed(file: Path, node: Node) -> None:
    written = Template(file.read_text()).substitute(node.values)
    if file.suffix in {".yaml", ".conflist"}:
        assert list(yaml.safe_load_all(written))
    elif file.suffix == ".toml":
        assert tomllib.loads(written)
    else:
        assert "$" not in written


def test_the_link_has_a_name_that_the_kernel_takes(node: Node) -> None:
    assert len(node.interface) <= 15


def test_keys_are_for_their_owner_only(node: Node, tmp_path: Path) -> None:
    pki.create(node, tmp_path / "kubeconfig.yaml")
    written = [*(tmp_path / "pki").iterdir(), *tmp_path.glob("config/*.kubeconfig"), tmp_path / "kubeconfig.yaml"]
    assert len(written) > 10
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    config = yaml.safe_load((tmp_path / "kubeconfig.yaml").read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.0.0.2:6443"


def test_a_named_context_is_used_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_CONTEXT", "mine")
    cluster = choose.provide(Home(tmp_path), {}, Console(tmp_path / "log.txt"))
    assert cluster.config["kubernetes:context"] == "mine"
    assert not list(tmp_path.iterdir())


def test_without_root_and_cluster_it_says_what_to_choose_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBE_CONTEXT", raising=False)
    monkeypatch.setattr(kind, "is_possible", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ToolError, match=r"KUBE_CONTEXT.*docker.*root"):
        choose.provide(Home(tmp_path), {}, Console(tmp_path / "log.txt"))


def test_two_runs_in_one_home_do_not_meet(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with local.exclusive(home), pytest.raises(ToolError, match="another run"), local.exclusive(home):
        pass


def test_two_homes_share_no_name(tmp_path: Path) -> None:
    assert Home(tmp_path / "one").identity != Home(tmp_path / "two").identity
