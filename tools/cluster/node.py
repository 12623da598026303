"""The one node: its addresses, its folders, and the components that run on it, each described in one entry.

Everything runs in process, mount, network and cgroup spaces of its own (`init.py` makes them), as in a container. It
adds one virtual interface to the machine; when the first process ends, the kernel takes away all that it made.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tools import debian
from tools.places import Home

NAME = "node"
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_API = "10.96.0.1"
POD_RANGE = "10.244.0.0/16"
PROVISIONED = Path("/tmp/hostpath_pv")  # noqa: S108 - where the controller manager makes volumes: fixed in its source
NETWORKS = Path("/run/netns")
MOUNT_POINTS = (PROVISIONED, NETWORKS)


@dataclass(frozen=True)
class Component:
    """One process of the node.

    Attributes:
        command: the program and its arguments; `${...}` are the node's values.
        ready: an http(s) URL that answers 200 once it works, or a socket's path that accepts; or empty.
        network: `machine` for what must reach package registries or listen on this machine's loopback.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    network: Literal["node", "machine"] = "node"


@dataclass(frozen=True)
class Node:
    """Facts that are fixed when the cluster is made and kept in its folder.

    Attributes:
        identity: names the interface, the control group and the run folder on this machine.
        machine_ip: this machine's end of the link.
        ip: the node's end: API server, DNS and node ports answer there.
        published: loopback ports of this machine that are handed to the same ports of the node.
        programs: folders of what was compiled, before the machine's own on the components' PATH.
    """

    identity: str
    machine_ip: str
    ip: str
    published: dict[str, int]
    data: Path
    run: Path
    build_cache: Path
    programs: list[Path]

    @property
    def registry(self) -> str:
        """Where images are pushed to and pulled from: on loopback, which every client takes without TLS."""
        return f"127.0.0.1:{self.published['registry']}"

    @property
    def api(self) -> str:
        """The API server's address."""
        return f"https://{self.ip}:6443"

    @property
    def interface(self) -> str:
        """This machine's end of the link (at most 15 characters)."""
        return f"ipl-{self.identity}"

    @property
    def cgroup(self) -> str:
        """The control group under which every process of the cluster runs."""
        return f"ipl-{self.identity}"

    @property
    def values(self) -> dict[str, str]:
        """What commands and configuration files may name as `${...}`."""
        return {
            "name": NAME,
            "node": self.ip,
            "registry": self.registry,
            "registry_port": str(self.published["registry"]),
            "api": self.api,
            "cgroup": self.cgroup,
            "data": str(self.data),
            "run": str(self.run),
            "build_cache": str(self.build_cache),
            "pki": str(self.data / "pki"),
            "config": str(self.data / "config"),
            "services": SERVICE_RANGE,
            "pods": POD_RANGE,
        }

    @property
    def addons(self) -> tuple[str, ...]:
        """The command that gives the API what the workers need of it."""
        config = self.data / "config"
        return ("kubectl", f"--kubeconfig={config}/admin.kubeconfig", "apply", f"--filename={config}/addons.yaml")

    @property
    def publish(self) -> Component:
        """Hands this machine's loopback ports to the node's."""
        pairs = (f"127.0.0.1:{port}={self.ip}:{port}" for port in self.published.values())
        return Component("publish", ("publish", *pairs), ready="", network="machine")

    @property
    def path(self) -> str:
        """PATH of the node's components."""
        return ":".join([*(str(folder) for folder in self.programs), debian.PATH])

    def program(self, name: str) -> str:
        """The path of one of the node's programs."""
        return shutil.which(name, path=self.path) or name

    def save(self, path: Path) -> None:
        """Write the facts for `init.py` and later runs."""
        path.write_text(json.dumps(asdict(self), default=str, indent=2))

    @classmethod
    def load(cls, path: Path) -> "Node":
        """Read what `save` wrote."""
        facts = json.loads(path.read_text())
        for name in ("data", "run", "build_cache"):
            facts[name] = Path(facts[name])
        facts["programs"] = [Path(folder) for folder in facts["programs"]]
        return cls(**facts)


def facts_of(home: Home) -> Path:
    """Where a home keeps its node's facts."""
    return home.cluster / "node.json"


# Debian's packages, by a program (or file) of each.
PACKAGES = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "docker-registry": "docker-registry",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "unshare": "util-linux",
}

# Started in this order: each group is ready before the next one starts.
STORES: tuple[Component, ...] = (
    Component(
        "etcd",
        (
            "etcd",
            "--name=${name}",
            "--data-dir=${data}/etcd",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=${name}=http://127.0.0.1:2380",
            "--unsafe-no-fsync",  # one machine's development data, and half of every write's time
        ),
        ready="http://127.0.0.1:2379/health",
    ),
    Component("containerd", ("containerd", "--config=${config}/containerd.toml"), ready="${run}/containerd.sock"),
    Component("registry", ("docker-registry", "serve", "${config}/registry.yaml"), ready="http://${registry}/v2/"),
    Component(
        "buildkitd",
        ("buildkitd", "--config=${config}/buildkitd.toml"),
        ready="${run}/buildkitd.sock",
        network="machine",
    ),
)
API: tuple[Component, ...] = (
    Component(
        "kube-apiserver",
        (
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=${node}",
            "--advertise-address=${node}",
            "--secure-port=6443",
            "--service-cluster-ip-range=${services}",
            "--client-ca-file=${pki}/ca.crt",
            "--tls-cert-file=${pki}/kube-apiserver.crt",
            "--tls-private-key-file=${pki}/kube-apiserver.key",
            "--kubelet-client-certificate=${pki}/admin.crt",
            "--kubelet-client-key=${pki}/admin.key",
            # The node's name is known to no resolver: logs, exec and port-forward go to its address.
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-account-key-file=${pki}/service-accounts.pub",
            "--service-account-signing-key-file=${pki}/service-accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ),
        ready="${api}/readyz",
    ),
)
WORKERS: tuple[Component, ...] = (
    Component(
        "kube-controller-manager",
        (
            "kube-controller-manager",
            "--kubeconfig=${config}/kube-controller-manager.kubeconfig",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--root-ca-file=${pki}/ca.crt",
            "--service-account-private-key-file=${pki}/service-accounts.key",
            "--use-service-account-credentials=true",
            "--enable-hostpath-provisioner=true",
        ),
        ready="https://127.0.0.1:10257/healthz",
    ),
    Component(
        "kube-scheduler",
        (
            "kube-scheduler",
            "--kubeconfig=${config}/kube-scheduler.kubeconfig",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ),
        ready="https://127.0.0.1:10259/healthz",
    ),
    Component(
        "kubelet",
        (
            "kubelet",
            "--config=${config}/kubelet.yaml",
            "--kubeconfig=${config}/kubelet.kubeconfig",
            "--hostname-override=${name}",
            "--node-ip=${node}",
            "--root-dir=${data}/kubelet",
            "--cert-dir=${data}/kubelet/pki",
        ),
        ready="http://127.0.0.1:10248/healthz",
    ),
    Component(
        "kube-proxy",
        (
            "kube-proxy",
            "--kubeconfig=${config}/kube-proxy.kubeconfig",
            "--hostname-override=${name}",
            "--proxy-mode=iptables",
            "--cluster-cidr=${pods}",
            "--conntrack-max-per-core=0",  # a setting of the whole machine: left alone
        ),
        ready="http://127.0.0.1:10256/healthz",
    ),
    Component("coredns", ("coredns", "-conf", "${config}/Corefile"), ready="http://127.0.0.1:8181/ready"),
)
