"""The node's first process: makes its network and mounts, starts its components, restarts what falls over.

Started by `local.start` in process, mount and name spaces of its own; its end is the end of everything that it started.
Usage: python -m tools.cluster.init NODE.json
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path
from string import Template
from types import FrameType

from tools.cluster import cgroups
from tools.cluster.node import API, MOUNT_POINTS, NETWORKS, PROVISIONED, STORES, WORKERS, Component, Node
from tools.debian import PATH

CLONE_NEWNET = 0x40000000
MACHINE_NETWORK = NETWORKS / "machine"
STARTS_BEFORE_GIVING_UP = 3
SECONDS_TO_BE_READY = 120
VOLUME_SECONDS = 0.2


class Init:
    """Keeps the node's components running and tells `status.json` how they are."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._status = node.data / "status.json"
        self._logs = node.data / "logs"
        self._logs.mkdir(exist_ok=True)
        self._running: dict[int, Component] = {}
        self._starts: dict[str, int] = {}
        self._ready: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        """Prepare, start group after group, and never return."""
        signal.signal(signal.SIGTERM, self._stop)
        _prepare(self._node)
        threading.Thread(target=self._start_all, daemon=True).start()
        threading.Thread(target=self._open_volumes, daemon=True).start()
        while True:
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.1)
                continue
            with self._lock:
                component = self._running.pop(pid, None)
            if component:
                threading.Timer(1, self._start, [component]).start()

    def _start_all(self) -> None:
        try:
            self._start_group(STORES)
            self._start_group(API)
            subprocess.run(self._node.addons, check=True, env={**os.environ, "PATH": self._node.path})
            self._start_group((*WORKERS, self._node.publish))
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # the end of the first process is what `local.start` notices
        self._tell(complete=True)

    def _start_group(self, group: tuple[Component, ...]) -> None:
        for component in group:
            self._start(component)
        for component in group:
            self._await(component)

    def _start(self, component: Component) -> None:
        self._starts[component.name] = self._starts.get(component.name, 0) + 1
        values = self._node.values
        command = [Template(word).substitute(values) for word in component.command]
        if component.network == "machine":
            command = ["nsenter", f"--net={MACHINE_NETWORK}", "--", *command]
        with self._lock, (self._logs / f"{component.name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": self._node.path},
            )
            self._running[process.pid] = component
            process.returncode = 0  # `run` collects every child; Popen must not

    def _await(self, component: Component) -> None:
        ready = Template(component.ready).substitute(self._node.values)
        deadline = time.monotonic() + SECONDS_TO_BE_READY
        while not _answers(ready):
            if self._starts[component.name] > STARTS_BEFORE_GIVING_UP or time.monotonic() > deadline:
                self._tell(failed=component.name)
                raise TimeoutError(f"{component.name} is not ready")
            time.sleep(0.05)
        self._ready.append(component.name)
        self._tell()

    def _open_volumes(self) -> None:
        """Let pods of any user write to their volumes: the controller manager makes them for root alone."""
        while True:
            for volume in (self._node.data / "volumes").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    volume.chmod(0o777)
            time.sleep(VOLUME_SECONDS)

    def _tell(self, **more: object) -> None:
        part = self._status.with_suffix(".part")
        part.write_text(json.dumps({"ready": self._ready, **more}))
        part.rename(self._status)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        os._exit(0)


def _prepare(node: Node) -> None:
    """Make the node's mounts, its control group, its network and the link to the machine's."""
    cgroups.create(node.cgroup)
    volumes = node.data / "volumes"
    volumes.mkdir(exist_ok=True)
    volumes.chmod(0o777)
    for folder in MOUNT_POINTS:
        folder.mkdir(exist_ok=True)
    _do("mount", "--make-rshared", "/")
    _do("mount", "--bind", str(volumes), str(PROVISIONED))
    _do("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(NETWORKS))
    MACHINE_NETWORK.touch()
    _do("mount", "--bind", "/proc/self/ns/net", str(MACHINE_NETWORK))
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    on_machine = ("nsenter", f"--net={MACHINE_NETWORK}", "--", "ip")
    _do(*on_machine, "link", "add", node.interface, "type", "veth", "peer", "name", "eth0", "netns", str(os.getpid()))
    _do(*on_machine, "address", "add", f"{node.machine_ip}/30", "dev", node.interface)
    _do(*on_machine, "link", "set", node.interface, "up")
    _do("ip", "link", "set", "lo", "up")
    _do("ip", "address", "add", f"{node.ip}/30", "dev", "eth0")
    _do("ip", "link", "set", "eth0", "up")
    _do("ip", "route", "add", "default", "via", node.machine_ip)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, env={**os.environ, "PATH": PATH})


def _answers(ready: str) -> bool:
    """Whether a URL answers 200 or a socket accepts; nothing to ask counts as yes."""
    if not ready:
        return True
    with contextlib.suppress(OSError, urllib.error.URLError):
        if ready.startswith("/"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(ready)
                return True
        # Health end points on this node's own addresses; who answers is checked by those who use the API itself.
        unchecked = ssl.create_default_context()
        unchecked.check_hostname = False
        unchecked.verify_mode = ssl.CERT_NONE
        with urllib.request.urlopen(ready, timeout=2, context=unchecked) as answer:  # noqa: S310
            return answer.status == 200
    return False


if __name__ == "__main__":
    Init(Node.load(Path(sys.argv[1]))).run()
