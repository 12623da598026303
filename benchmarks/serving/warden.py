"""Runs a command on given cores for as long as standard input is open; then nothing that it started is left.

Standard library only, run by its path. Servers start workers in sessions and groups of their own, so the warden makes
itself the one who inherits orphans: whatever the command started is a descendant, and can be counted and killed.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PARENT = 1  # of the fields that follow the name in /proc/<pid>/stat


def stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat that follow the name: state, parent, ...; empty once the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """Every process that it started, and that those started."""
    parents = {int(entry.name): stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = [pid]
    for parent in found:  # grows while it is gone through
        found += [child for child, fields in parents.items() if fields and int(fields[_PARENT]) == parent]
    return found[1:]


def main() -> int:
    """`warden.py CORES COMMAND...`: the command's exit status."""
    cores, *command = sys.argv[1:]
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        threading.Thread(target=_outlive_nobody, daemon=True).start()
        status = process.wait()
    _end_all()
    return status if status >= 0 else 128 - status


def _outlive_nobody() -> None:
    # Not through sys.stdin: its lock, held by a thread, would abort the interpreter's own end.
    while os.read(0, 1):
        pass
    _end_all()


def _end_all() -> None:
    while left := [pid for pid in descendants(os.getpid()) if stat(pid)[:1] != ["Z"]]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
