"""The language host ends with the engine that started it, and takes its programs along."""
# The stubs' types are not known.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tests.app.support.processes import eventually

_REPOSITORY = Path(__file__).parents[3]
_ENGINE = """
import subprocess, sys
host = subprocess.Popen([sys.executable, "-m", "tools.language_host", "127.0.0.1:1"], stdout=subprocess.PIPE)
print(host.pid, host.stdout.readline().decode().strip(), flush=True)
host.wait()
"""


def test_a_killed_engine_leaves_nothing(tmp_path: Path) -> None:
    executor = tmp_path / "executor.py"
    executor.write_text(
        f"import os, pathlib, time\npathlib.Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    environment = {**os.environ, "PULUMI_PYTHON_EXECUTOR": str(executor), "PYTHONPATH": str(_REPOSITORY)}
    with Popen([sys.executable, "-c", _ENGINE], stdout=PIPE, env=environment, text=True) as engine:
        assert engine.stdout is not None
        host, port = map(int, engine.stdout.readline().split())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            info = language_pb2.ProgramInfo(program_directory=str(tmp_path), root_directory=str(tmp_path))
            request = language_pb2.RunRequest(info=info, monitor_address="127.0.0.1:1")
            call = language_pb2_grpc.LanguageRuntimeStub(channel).Run.future(request)
            eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the program to start")
            engine.kill()
            program = int((tmp_path / "pid").read_text())
            eventually(lambda: not _is_running(host) and not _is_running(program), "both to end")
            call.cancel()


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
