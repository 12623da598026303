"""Runs a command for as long as standard input is open; whatever ends the test run ends the command's whole group too.

A process that starts others (MLflow's server, Postgres) would leave them behind if only it were killed. SIGTERM is
passed on to the command alone, so that graceful ends can be tested; the exit status is the command's.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True) as command:
        signal.signal(signal.SIGTERM, lambda _signal, _frame: command.terminate())

        def kill_group() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)

        def outlive_nobody() -> None:
            # Not through sys.stdin: its lock, held by a thread, would abort the interpreter's own end.
            while os.read(0, 1):
                pass
            kill_group()

        threading.Thread(target=outlive_nobody, daemon=True).start()
        status = command.wait()
        kill_group()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
