"""The inference server as a process of its own."""

import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx

from tests.app.support.processes import Process, eventually, free_port

_REPOSITORY = Path(__file__).parents[3]


class InferenceServer:
    """`python -m inference_app` on a free port; stops when the context ends.

    Attributes:
        within: A command that runs another, to run it by.
    """

    within: ClassVar[tuple[str, ...]] = ()

    def __init__(self, folder: Path, mlflow_url: str, name: str = "demo", **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        port = free_port()
        self.grpc_port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_REPOSITORY),
            "INFERENCE_MODEL_NAME": name,
            "INFERENCE_MLFLOW_URL": mlflow_url,
            "INFERENCE_CACHE_DIR": str(folder / "cache"),
            "INFERENCE_POLL_SECONDS": "0.05",
            "INFERENCE_HOST": "127.0.0.1",
            "INFERENCE_PORT": str(port),
            "INFERENCE_GRPC_PORT": str(self.grpc_port),
            **settings,
        }
        self.cache = folder / "cache" / name
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
        self.process = Process(
            [*self.within, sys.executable, "-m", "inference_app"], environment, folder / "server.log"
        )
        self.process.await_ready(self.is_alive)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.process.kill()

    def is_alive(self) -> bool:
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def is_ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200

    def await_version(self, version: str) -> None:
        eventually(lambda: self.version() == version, f"version {version} to be served")

    def version(self) -> str | None:
        response = self.http.get(f"/v1/models/{self.name}")
        return response.json()["model_version_status"][0]["version"] if response.status_code == 200 else None

    def predict(self, instances: Any) -> httpx.Response:
        return self.http.post(f"/v1/models/{self.name}:predict", json={"instances": instances})

    def metric(self, line_start: str) -> float | None:
        """The value of one exact series, written as in the exposition format."""
        for line in self.http.get("/metrics").text.splitlines():
            if line.startswith(f"{line_start} "):
                return float(line.removeprefix(f"{line_start} "))
        return None

    def log_lines(self, **fields: object) -> list[dict[str, Any]]:
        """The log's lines that have all of these values."""
        lines = [json.loads(line) for line in self.process.output().splitlines()]
        return [line for line in lines if all(line.get(key) == value for key, value in fields.items())]
