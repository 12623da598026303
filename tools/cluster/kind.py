"""A kind cluster with a registry, where docker runs and its hub can be reached."""

import shutil
import subprocess
import urllib.error
import urllib.request
from string import Template

from tools import golang
from tools.console import Console
from tools.places import Home

HUB = "https://registry-1.docker.io/v2/"
REGISTRY_IMAGE = "docker.io/library/registry:2.8.3"
NODE_PORTS = {"inferencePort": 30080, "mlflowPort": 30500}
REGISTRY_PORT = 30501
CONFIG = Template("""\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
nodes:
  - role: control-plane
    extraPortMappings:
      - {listenAddress: 127.0.0.1, hostPort: $inferencePort, containerPort: $inferencePort}
      - {listenAddress: 127.0.0.1, hostPort: $mlflowPort, containerPort: $mlflowPort}
""")


def is_possible() -> bool:
    """Whether docker runs and its hub answers."""
    if not shutil.which("docker") or subprocess.run(["docker", "info"], check=False, capture_output=True).returncode:
        return False
    try:
        urllib.request.urlopen(HUB, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code == 401  # it wants to know who asks: it is there
    except OSError:
        return False
    return True


def start(home: Home, console: Console) -> dict[str, str]:
    """Make the cluster and its registry unless they are there; returns what the stack must know of them.

    Raises:
        ToolError: a container could not be started.
    """
    name = _name(home)
    registry = f"localhost:{REGISTRY_PORT}"
    if name not in _clusters():
        with console.step("kind cluster"):
            config = home.path / "kind.yaml"
            config.write_text(CONFIG.substitute({key: str(port) for key, port in NODE_PORTS.items()}))
            fix = "see the log above; `kind delete cluster` removes what is half made"
            kind = golang.make(golang.KIND, console) / "kind"
            made = ["create", "cluster", "--name", name, "--config", config, "--kubeconfig", home.kubeconfig]
            console.run([kind, *made, "--wait", "180s"], fix=fix)
            published = f"127.0.0.1:{REGISTRY_PORT}:5000"
            server = ["--detach", "--name", f"{name}-registry", "--network", "kind", "--publish", published]
            console.run(["docker", "run", *server, REGISTRY_IMAGE], fix=fix)
            # containerd on the node finds under the machine's name of the registry what has another on its network.
            folder = f"/etc/containerd/certs.d/{registry}"
            hosts = f'[host."http://{name}-registry:5000"]'
            written = f"mkdir -p {folder} && echo '{hosts}' > {folder}/hosts.toml"
            console.run(["docker", "exec", f"{name}-control-plane", "sh", "-c", written], fix=fix)
    return {
        "kubernetes:context": f"kind-{name}",
        "kubernetes:kubeconfig": str(home.kubeconfig),
        "inference-platform:registry": f"{registry}/inference-platform",
        **{f"inference-platform:{key}": str(port) for key, port in NODE_PORTS.items()},
    }


def stop(home: Home, console: Console) -> None:
    """Remove the cluster and its registry, if they are there."""
    name = _name(home)
    if not (home.path / "kind.yaml").exists():
        return
    with console.step("removing the kind cluster"):
        fix = "start docker, then run again"
        kind = golang.make(golang.KIND, console) / "kind"
        console.run([kind, "delete", "cluster", "--name", name, "--kubeconfig", home.kubeconfig], fix=fix)
        console.run(["docker", "rm", "--force", "--volumes", f"{name}-registry"], fix=fix)
        (home.path / "kind.yaml").unlink()


def _name(home: Home) -> str:
    return f"ipl-{home.identity}"


def _clusters() -> list[str]:
    nodes = [
        "docker",
        "ps",
        "--filter",
        "label=io.x-k8s.kind.cluster",
        "--format",
        '{{.Label "io.x-k8s.kind.cluster"}}',
    ]
    return subprocess.run(nodes, check=False, capture_output=True, text=True).stdout.split()
