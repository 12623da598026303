"""How many processors this container may use."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Processors granted by the container's CPU quota, else those the process may be scheduled on; at least 1.

    A part of a processor is rounded down: one thread more than the quota would have all of them throttled together.

    Args:
        cgroup: Where the kernel shows this container's control group: version 2 (`cpu.max`) or 1 (`cpu/cpu.cfs_*_us`).
    """
    schedulable = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return max(1, schedulable if quota is None else min(schedulable, int(quota)))


def _quota(cgroup: Path) -> float | None:
    """Processors by quota, None without one. Source: Linux kernel, admin-guide/cgroup-v2 and scheduler/sched-bwc."""
    unified = _words(cgroup / "cpu.max")
    if len(unified) == 2:
        return None if unified[0] == "max" else int(unified[0]) / int(unified[1])
    quota, period = _words(cgroup / "cpu" / "cpu.cfs_quota_us"), _words(cgroup / "cpu" / "cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
