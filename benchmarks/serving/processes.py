"""Processes that the bench starts: on a core of their own, frozen while others are measured, gone when it is."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.serving.warden import descendants, stat

_WARDEN = Path(__file__).with_name("warden.py")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_USER, _SYSTEM, _RESIDENT_PAGES = 11, 12, 21  # of the fields that follow the name in /proc/<pid>/stat


@dataclass(frozen=True)
class Cores:
    """Who computes where; the same core for both where there is only one."""

    server: int
    client: int

    @classmethod
    def of_this_machine(cls) -> Self:
        """The last core to the servers, the first to the client: interrupts tend to be on the first."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[-1], client=usable[0])


def busy_seconds(core: int) -> float:
    """CPU time that programs took so far on a core, whoever's they are."""
    (line,) = re.findall(rf"^cpu{core} (.+)$", Path("/proc/stat").read_text(encoding="utf-8"), re.MULTILINE)
    user, nice, system, *_ = (int(field) for field in line.split())
    return (user + nice + system) / _TICKS


class Process:
    """A command and everything that it starts, pinned to a core. Its output, both streams, is in a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, core: int) -> None:
        self._log = folder / "log.txt"
        with self._log.open("ab") as output:
            self._warden = subprocess.Popen(
                guarded(command, core),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=folder,
            )

    @property
    def has_ended(self) -> bool:
        """It is not running any more."""
        return self._warden.poll() is not None

    @property
    def last_words(self) -> str:
        """The end of its output."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-12:])

    def cpu_seconds(self) -> float:
        """CPU time so far, of the command and of all that it started."""
        fields = [stat(pid) for pid in descendants(self._warden.pid)]
        return sum(int(field[_USER]) + int(field[_SYSTEM]) for field in fields if field) / _TICKS

    def resident_bytes(self) -> int:
        """Memory that it and all that it started have in RAM; what they share counts for each."""
        fields = [stat(pid) for pid in descendants(self._warden.pid)]
        return sum(int(field[_RESIDENT_PAGES]) for field in fields if field) * _PAGE

    def freeze(self) -> None:
        """Let it use no CPU until it is resumed: even idle servers poll and beat."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End it and whatever it started, now."""
        if self._warden.stdin is not None:
            self._warden.stdin.close()
        self._warden.wait(30)

    def _signal(self, number: signal.Signals) -> None:
        for pid in descendants(self._warden.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def guarded(command: Sequence[str], core: int) -> list[str]:
    """The command under the warden."""
    return [sys.executable, "-ES", str(_WARDEN), str(core), *command]


def run(command: Sequence[str], core: int, timeout: float) -> str:
    """Run a program on a core to its end; what it printed.

    Raises:
        subprocess.CalledProcessError: it failed; carries its output.
        subprocess.TimeoutExpired: it did not end in time, and was ended.
    """
    with subprocess.Popen(
        guarded(command, core), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as warden:
        # communicate() would close standard input first, and that is what the warden ends its command by.
        stdin, warden.stdin = warden.stdin, None
        try:
            said, _ = warden.communicate(timeout=timeout)
        finally:
            if stdin is not None:
                stdin.close()
    if warden.returncode:
        raise subprocess.CalledProcessError(warden.returncode, list(command), said)
    return said
