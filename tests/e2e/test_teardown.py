"""What the platform takes of the machine, and that it gives all of it back."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.platform import Platform
from tools.cluster import cgroups

pytestmark = pytest.mark.timeout(3600)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _traces(platform: Platform) -> dict[str, list[str]]:
    """Whatever on this machine is of the platform's home."""
    identity = platform.home.identity
    own = str(platform.home.cluster)
    processes: list[str] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                group = (folder / "cgroup").read_text()
            except OSError:
                continue
            if identity in group:
                processes.append((folder / "cmdline").read_text().replace("\0", " "))
    return {
        "processes": processes,
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if own in line or identity in line],
        "interfaces": [line for line in _run("ip", "-brief", "link").splitlines() if identity in line],
        "namespaces": _run("ip", "netns", "list").splitlines(),
        "chains": [line for line in _run("iptables-save").splitlines() if "KUBE" in line or "CNI" in line],
        "groups": [str(group) for root in cgroups.hierarchies() for group in root.glob(f"*{identity}*")],
        "sockets": [str(platform.home.run)] if platform.home.run.exists() else [],
        "files": [str(path) for path in (platform.home.cluster, platform.home.kubeconfig) if path.exists()],
    }


def test_the_platform_fits_into_four_gigabytes(platform: Platform) -> None:
    used = cgroups.memory(f"ipl-{platform.home.identity}")
    print(f"memory of the whole platform: {used / 2**20:.0f} MiB")
    assert 2**28 < used < 4 * 2**30


def test_down_leaves_nothing(platform: Platform) -> None:
    assert _traces(platform)["processes"]
    platform.make("down")
    assert {name: found for name, found in _traces(platform).items() if found} == {}


def test_an_up_that_was_killed_goes_on_when_run_again(platform: Platform) -> None:
    for moment in ("kubelet is ready", "StatefulSet postgres created"):
        with platform.start("up") as process:
            assert process.stdout
            assert any(moment in line for line in process.stdout), f"{moment!r} was never reached"
            os.killpg(process.pid, signal.SIGKILL)
    said = platform.up()
    (curl,) = [line.strip() for line in said.splitlines() if line.strip().startswith("curl ")]
    assert '"predictions"' in _run("sh", "-c", f"{curl} --silent --show-error --fail")
