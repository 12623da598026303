"""Make, start, look at and remove the one-node cluster."""

import contextlib
import fcntl
import ipaddress
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from string import Template
from typing import Any

from tools import debian, golang
from tools.cluster import cgroups, images, pki
from tools.cluster.node import MOUNT_POINTS, NAME, PACKAGES, Node, facts_of
from tools.console import Console
from tools.errors import ToolError
from tools.places import REPOSITORY, Home, cache

FILES = Path(__file__).parent / "files"
# Where each configuration file goes; what is not named here keeps its name.
PLACES = {"cni.conflist": "cni/10-pods.conflist", "hosts.toml": "registries/${registry}/hosts.toml"}
LINKS = ipaddress.ip_network("10.213.0.0/16")
# Where a published port is looked for when the wanted one is taken, the registry's outside the node ports.
NODE_PORTS = range(30000, 32768)
REGISTRY_PORTS = range(5000, 6000)
PUBLISHED = {"inference": 30080, "mlflow": 30500, "registry": 5000}
FREE_BYTES = 6 * 2**30
SECONDS_TO_START = 180
# What the one Kubernetes binary is, by the name that it is started under.
ENTRY_POINTS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "coredns",
    "publish",
)


def start(home: Home, console: Console) -> Node:
    """The running cluster of this home: made if there is none, started if it does not run, left alone if it does.

    Raises:
        ToolError: a program is missing, a component did not start, or the disk is full.
    """
    debian.install(PACKAGES, console)
    programs = _programs(console)
    if not _pid(home):
        _clear(home)
        node = _make(home, programs)
        with console.step("starting the one-node cluster"):
            _launch(home, node)
            _await(home, console)
    node = Node.load(facts_of(home))
    images.provide(node, console)
    with console.step("waiting for the node"):
        kubectl(home, console, "wait", f"node/{NAME}", "--for=condition=Ready", "--timeout=120s")
    return node


def stop(home: Home, console: Console) -> None:
    """End the cluster's processes and remove all that it made on this machine. Does nothing if there is none."""
    if not home.cluster.exists():
        return
    with console.step("removing the one-node cluster"):
        _end(home)
        _clear(home)
        shutil.rmtree(home.cluster)
        home.kubeconfig.unlink(missing_ok=True)


def is_running(home: Home) -> bool:
    """Whether the cluster's first process lives."""
    return _pid(home) is not None


def kubectl(home: Home, console: Console, *arguments: str) -> None:
    """Run kubectl against the cluster of this home."""
    node = Node.load(facts_of(home))
    console.run(
        [node.program("kubectl"), "--kubeconfig", home.kubeconfig, *arguments],
        fix=f"see {node.data / 'logs'}, then run again",
    )


def _programs(console: Console) -> list[Path]:
    """The folders of the compiled programs, each under the name that components start it by."""
    folder = golang.make(golang.KUBERNETES, console)
    for name in ENTRY_POINTS:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to("kubernetes")
    return [folder, golang.make(golang.BUILDKIT, console)]


def _make(home: Home, programs: list[Path]) -> Node:
    """The node's facts, certificates and configuration; facts and certificates stay as they were first made."""
    data = home.cluster
    (data / "config").mkdir(parents=True, exist_ok=True)
    data.chmod(0o711)
    if shutil.disk_usage(data).free < FREE_BYTES:
        raise ToolError(f"less than {FREE_BYTES >> 30} GiB are free at {data}", "free some space, then run again")
    machine_ip, ip = _free_link()
    published = _published(home)
    node = Node(home.identity, machine_ip, ip, published, data, home.run, _free_build_cache(), programs)
    pki.create(node, home.kubeconfig)
    for template in FILES.iterdir():
        place = Template(PLACES.get(template.name, template.name)).substitute(node.values)
        target = data / "config" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(template.read_text()).substitute(node.values))
    node.save(facts_of(home))
    return node


def _free_link() -> tuple[str, str]:
    """Two addresses of a /30 that no interface or route of this machine touches."""
    listed = subprocess.check_output([debian.find("ip") or "ip", "-json", "route", "show", "table", "all"])
    taken = [
        ipaddress.ip_network(route["dst"], strict=False)
        for route in json.loads(listed)
        if route.get("dst", "default") != "default" and ":" not in route["dst"]
    ]
    for link in LINKS.subnets(new_prefix=30):
        if not any(link.overlaps(network) for network in taken):
            return str(link[1]), str(link[2])
    raise ToolError(f"no free network in {LINKS}", "remove interfaces or routes that are no longer used")


def _published(home: Home) -> dict[str, int]:
    """The loopback ports, the same on every start of one home as long as nobody else has taken them."""
    kept = json.loads(facts_of(home).read_text())["published"] if facts_of(home).exists() else PUBLISHED
    chosen: dict[str, int] = {}
    for name, wanted in kept.items():
        others = REGISTRY_PORTS if name == "registry" else NODE_PORTS
        chosen[name] = next(port for port in (wanted, *others) if port not in chosen.values() and _is_free(port))
    return chosen


def _free_build_cache() -> Path:
    """A folder of build layers that no other BuildKit works in; it outlives clusters."""
    folders = (cache() / "buildkit" / str(number) for number in itertools.count())
    return next(folder for folder in folders if _is_unlocked(folder))


def _is_unlocked(folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "buildkitd.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _launch(home: Home, node: Node) -> None:
    node.run.mkdir(mode=0o711, exist_ok=True)
    (node.data / "logs").mkdir(exist_ok=True)
    (node.data / "status.json").unlink(missing_ok=True)
    spaces = ("--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--ipc", "--uts")
    with (node.data / "logs" / "init.log").open("ab") as log:
        process = subprocess.Popen(
            ["unshare", *spaces, "--", sys.executable, "-m", "tools.cluster.init", str(facts_of(home))],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (home.cluster / "pid").write_text(f"{process.pid} {_birth(process.pid)}")


def _await(home: Home, console: Console) -> None:
    logs = home.cluster / "logs"
    told: set[str] = set()
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        status = _status(home)
        for component in status.get("ready", []):
            if component not in told:
                told.add(component)
                console.say(f"  {component} is ready")
        if status.get("complete"):
            return
        if failed := status.get("failed"):
            _end(home)
            raise ToolError(f"{failed} does not start:\n{_tail(logs / f'{failed}.log')}", f"see {logs}")
        if not _pid(home):
            raise ToolError(f"the node's first process ended:\n{_tail(logs / 'init.log')}", f"see {logs}")
        time.sleep(0.1)
    _end(home)
    raise ToolError(f"the cluster did not start within {SECONDS_TO_START} s", f"see {logs}, then run again")


def _status(home: Home) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError):
        return json.loads((home.cluster / "status.json").read_text())
    return {}


def _tail(log: Path, lines: int = 10) -> str:
    said = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join(f"  | {line}" for line in said)


def _birth(pid: int) -> str:
    """When a process started, in clock ticks since the machine did: tells it from a later one of the same number."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _pid(home: Home) -> int | None:
    """The process in whose end the cluster ends, if it lives."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid, birth = (home.cluster / "pid").read_text().split()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state != "Z" and _birth(int(pid)) == birth:
            return int(pid)
    return None


def _end(home: Home) -> None:
    if pid := _pid(home):
        os.kill(pid, signal.SIGKILL)
        while _pid(home):
            time.sleep(0.02)


def _clear(home: Home) -> None:
    """Remove what outlives the processes: control groups, sockets, and the empty folders that mounts covered."""
    cgroups.remove(f"ipl-{home.identity}")
    shutil.rmtree(home.run, ignore_errors=True)
    for folder in MOUNT_POINTS:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def exclusive(home: Home) -> Generator[None]:
    """One tool at a time works on a home.

    Raises:
        ToolError: another one does.
    """
    home.path.mkdir(parents=True, exist_ok=True)
    with (home.path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ToolError(
                f"another run is at work in {home.path}", "wait for it, or set PLATFORM_HOME to another folder"
            ) from None
        yield
