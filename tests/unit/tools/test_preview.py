import json
import subprocess
from typing import Any

import pytest

from tools import preview
from tools.errors import ToolError
from tools.offline.graph import SECRET
from tools.places import REPOSITORY


@pytest.mark.parametrize("stack", ["local", "dev", "prod"])
def test_the_graph_as_json(stack: str) -> None:
    resources: list[dict[str, Any]] = json.loads(preview.offline(stack, "json"))["resources"]
    assert all(set(it) == {"type", "name", "inputs"} for it in resources)
    tokens = {it["type"] for it in resources}
    expected = {
        "local": "kubernetes:apps/v1:StatefulSet",
        "dev": "digitalocean:index/vpc:Vpc",
        "prod": "aws:ec2/vpc:Vpc",
    }
    assert expected[stack] in tokens
    for secret in (it for it in resources if it["type"] == "kubernetes:core/v1:Secret"):
        assert secret["inputs"]["data"] == SECRET


def test_the_graph_for_people() -> None:
    text = preview.offline("dev", "text")
    lines = text.splitlines()
    assert "+ inference-platform:digitalocean:KubernetesCluster platform" in lines
    assert "  + digitalocean:index/kubernetesCluster:KubernetesCluster platform" in lines
    assert "    mlflowPassword: '[secret]'" in lines
    assert "Estimated cost:" in lines
    assert lines[-1].startswith("about $")


def test_another_form_is_not_guessed() -> None:
    with pytest.raises(ToolError, match="FORMAT is 'yaml'"):
        preview.offline("dev", "yaml")


def test_make_prints_the_graph_and_nothing_else() -> None:
    command = ["make", "-s", "preview", "STACK=dev", "OFFLINE=1", "FORMAT=json"]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["resources"]
