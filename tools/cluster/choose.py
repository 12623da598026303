"""Which cluster the local stack is deployed to, and what the stack must know of it."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.cluster import images, kind, local
from tools.cluster.node import Node
from tools.console import Console
from tools.errors import ToolError
from tools.places import Home

CONTEXT = "kubernetes:context"
BUILDER = "inference-platform"


@dataclass(frozen=True)
class Cluster:
    """A cluster that is ready.

    Attributes:
        config: stack configuration that only this machine knows.
        environment: what the engine's plugins need besides.
    """

    config: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def provide(home: Home, config: Mapping[str, object], console: Console) -> Cluster:
    """The context that the user names, else kind where docker and the hub are at hand, else one node made here.

    Raises:
        ToolError: none of them can be had, or the one chosen does not start.
    """
    if named := os.environ.get("KUBE_CONTEXT") or config.get(CONTEXT):
        return Cluster({CONTEXT: str(named), "kubernetes:kubeconfig": os.environ.get("KUBECONFIG", "~/.kube/config")})
    if not home.cluster.exists() and kind.is_possible():
        return Cluster(kind.start(home, console))
    if os.geteuid() or sys.platform != "linux" or not shutil.which("apt-get"):
        raise ToolError(
            "there is no cluster to deploy to, and this user cannot make one",
            "name one (make up KUBE_CONTEXT=<a context of yours>), or start docker for kind, or be root on Debian",
        )
    return _one_node(home, console)


def remove(home: Home, console: Console) -> None:
    """Remove the cluster that was made for this home; one that the user named is left alone."""
    kind.stop(home, console)
    local.stop(home, console)


def _one_node(home: Home, console: Console) -> Cluster:
    node = local.start(home, console)
    references = images.references(node)
    return Cluster(
        {
            CONTEXT: f"inference-platform-{node.identity}",
            "kubernetes:kubeconfig": str(home.kubeconfig),
            "inference-platform:registry": f"{node.registry}/inference-platform",
            "inference-platform:builder": BUILDER,
            "inference-platform:caBundle": str(images.CA_BUNDLE),
            "inference-platform:pythonImage": references["python"],
            "inference-platform:postgresImage": references["postgres"],
            "inference-platform:objectStoreImage": references["seaweedfs"],
            "inference-platform:inferencePort": str(node.published["inference"]),
            "inference-platform:mlflowPort": str(node.published["mlflow"]),
        },
        {"BUILDX_CONFIG": str(_buildx(home, node)), "DOCKER_CONFIG": str(home.path / "docker")},
    )


def _buildx(home: Home, node: Node) -> Path:
    """A buildx configuration of our own that knows the node's BuildKit; the user's stays as it is."""
    folder = home.path / "docker" / "buildx"
    (folder / "instances").mkdir(parents=True, exist_ok=True)
    endpoint = f"unix://{node.run}/buildkitd.sock"
    instance = {
        "Name": BUILDER,
        "Driver": "remote",
        "Nodes": [{"Name": f"{BUILDER}0", "Endpoint": endpoint, "Platforms": None, "DriverOpts": None, "Flags": None}],
        "Dynamic": False,
    }
    (folder / "instances" / BUILDER).write_text(json.dumps(instance))
    return folder
