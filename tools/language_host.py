"""A Python language host for the engine that is built from Go modules, where Pulumi's own host is not to be had.

The engine starts it as `pulumi-language-python`, reads the port from its first line, and speaks to it as
pulumi/proto/pulumi/language.proto says. It runs programs in the environment that it is itself started with.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

SHOWN_TO_USER = 32  # pulumi-language-python-exec ends so when it has told the user what was wrong


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """What the engine asks of a language: run a program. It needs no installation and generates no code."""

    def __init__(self, executor: str, engine: str) -> None:
        self._executor = executor
        self._engine = engine
        self._running = set[subprocess.Popen[bytes]]()

    def end_programs(self) -> None:
        """End what runs; there is nobody to report to any more."""
        for program in [*self._running]:
            program.kill()

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Agree to speak."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Its version is the SDK's."""
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """None: the plugins lie on PATH."""
        return language_pb2.GetRequiredPackagesResponse()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run a program to its end."""
        arguments = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "stack": request.stack,
            "pwd": request.info.program_directory,
            "root_directory": request.info.root_directory,
            "dry_run": "true" if request.dryRun else "",
            "parallel": str(request.parallel),
            "organization": request.organization,
        }
        flags = [word for name, value in arguments.items() if value for word in (f"--{name}", value)]
        program = (
            request.info.entry_point if request.info.entry_point not in {"", "."} else request.info.program_directory
        )
        with subprocess.Popen(
            [sys.executable, "-u", self._executor, *flags, program, *request.args],
            cwd=request.info.program_directory,
            env={
                **os.environ,
                "PULUMI_CONFIG": json.dumps(dict(request.config)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            },
        ) as running:
            self._running.add(running)
            code = running.wait()
        self._running.discard(running)
        if code == SHOWN_TO_USER:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"the program ended with exit code {code}" if code else "")


def serve(executor: str, engine: str) -> None:
    """Serve until the engine ends this process."""
    server = grpc.server(ThreadPoolExecutor(), options=[("grpc.max_receive_message_length", -1)])
    host = LanguageHost(executor, engine)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    over = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda _signal, _frame: over.set())
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    engine_process = os.getppid()
    while not over.wait(1):
        if os.getppid() != engine_process:  # killed: nobody is left to end this process
            break
    server.stop(grace=None)
    host.end_programs()
    os._exit(0)  # an ordinary end would wait for calls that have lost their engine


if __name__ == "__main__":
    serve(os.environ["PULUMI_PYTHON_EXECUTOR"], sys.argv[-1])
