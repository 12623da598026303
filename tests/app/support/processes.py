"""Processes that tests start: on free ports, awaited by a condition, gone when the test is."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import pytest

_SUPERVISOR = Path(__file__).with_name("supervise.py")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_Value = TypeVar("_Value")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], _Value], what: str, timeout: float = 20) -> _Value:
    """The first truthy value of a condition; fails the test if there is none in time."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout} s for: {what}")
        time.sleep(0.02)
    return value


class Process:
    """A command under the supervisor; its output, both streams, is in a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-ES", str(_SUPERVISOR), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def await_ready(self, probe: Callable[[], bool], timeout: float = 60) -> None:
        """Wait until it answers; fails at once, with its output, if it ends instead."""

        def answered() -> bool:
            if self._supervisor.poll() is not None:
                pytest.fail(f"ended with {self._supervisor.returncode}:\n{self.output()[-4000:]}")
            return probe()

        eventually(answered, f"an answer; {self.log} has its output", timeout)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The command's own process."""
        children = Path(f"/proc/{self._supervisor.pid}/task/{self._supervisor.pid}/children").read_text()
        return int(children.split()[0])

    def resident_bytes(self) -> int:
        """Its memory in RAM."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    def cpu_seconds(self) -> float:
        """CPU time that its living threads took so far, to the nanosecond (Linux, scheduler/sched-stats)."""
        nanoseconds = 0
        for thread in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with suppress(FileNotFoundError):  # it has just ended
                nanoseconds += int(thread.read_text().split()[0])
        return nanoseconds / 1e9

    def terminate(self) -> None:
        self._supervisor.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 20) -> int:
        """Wait for its end; returns the exit status."""
        return self._supervisor.wait(timeout)

    def kill(self) -> None:
        """End it and whatever it started, now."""
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
        self._supervisor.wait(10)
