"""The cluster's control groups, on cgroup v1 (one hierarchy a controller) and v2 (one for all)."""

import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Where control groups can be made."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return sorted({folder.resolve() for folder in ROOT.iterdir() if (folder / "cgroup.procs").exists()})


def create(name: str) -> None:
    """Make the group everywhere, and its child `processes` for what is no pod; the caller moves into it."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text((hierarchy / setting).read_text())
            (group / "cgroup.clone_children").write_text("1")
        processes = group / "processes"
        processes.mkdir(exist_ok=True)
        (processes / "cgroup.procs").write_text("0")


def memory(name: str) -> int:
    """Bytes of memory that the group's processes hold now, caches of files left out."""
    counters = [ROOT / name / "memory.stat", ROOT / "memory" / name / "memory.stat"]
    stat = next(path for path in counters if path.exists()).read_text()
    values = dict(line.split() for line in stat.splitlines())
    return int(values.get("total_rss") or values["anon"])


def remove(name: str) -> None:
    """Remove the group everywhere, once its last process is gone."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        if not group.is_dir():
            continue
        deadline = time.monotonic() + 10
        for folder in sorted((folder for folder in group.rglob("*") if folder.is_dir()), reverse=True):
            _remove(folder, deadline)
        _remove(group, deadline)


def _remove(folder: Path, deadline: float) -> None:
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # busy: the kernel is still taking the group's last processes away
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
