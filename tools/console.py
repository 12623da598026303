"""Say what is being done and how long it takes, on the terminal and in a plain log. Standard library only."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.errors import ToolError

BEAT_SECONDS = 15.0
TAIL_LINES = 15


class Console:
    """Prints steps with the elapsed time; long ones give a sign of life every 15 seconds."""

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def say(self, message: str) -> None:
        """One line on the terminal and in the log."""
        line = f"[{time.monotonic() - self._started:7.1f} s] {message}"
        with self._lock:
            print(line, flush=True)
            self._note(line)

    @contextmanager
    def step(self, title: str) -> Generator[None]:
        """A step: its title when it starts, its duration when it ends or fails."""
        self.say(f"{title} ...")
        began = time.monotonic()
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_SECONDS):
                self.say(f"  {title}: {time.monotonic() - began:.0f} s so far")

        ticker = threading.Thread(target=beat, daemon=True)
        ticker.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            over.set()
            ticker.join()
            self.say(f"{title}: {outcome} {time.monotonic() - began:.1f} s")

    def run(
        self,
        command: Sequence[str | Path],
        *,
        fix: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        show: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Run a program with its output in the log, and on the terminal those of its lines that `show` is true of.

        Raises:
            ToolError: it could not be started or exited with something else than 0; carries the end of its output.
        """
        words = [str(word) for word in command]
        self._note(f"$ {' '.join(words)}")
        tail: list[str] = []
        try:
            with subprocess.Popen(
                words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process:
                try:
                    for line in process.stdout or ():
                        if show(line):
                            self.say(f"  {line.rstrip()}")
                        else:
                            self._note(line.rstrip("\n"))
                        tail = [*tail[1 - TAIL_LINES :], line]
                except BaseException:
                    process.terminate()
                    raise
        except OSError as error:
            raise ToolError(f"{words[0]} could not be started: {error.strerror}", fix) from error
        if process.returncode:
            said = "".join(f"  | {line}" for line in tail).rstrip()
            raise ToolError(f"{Path(words[0]).name} failed (exit code {process.returncode}):\n{said}", fix)

    def _note(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def fail(error: ToolError) -> None:
    """Print an error as every tool prints it."""
    print(f"error: {error}", file=sys.stderr, flush=True)
