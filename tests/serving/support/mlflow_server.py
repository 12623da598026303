"""A real MLflow tracking server: metadata in Postgres, artifacts in S3 behind its proxy."""

import os
import sys
from pathlib import Path

import httpx

from tests.app.support.processes import Process, free_port
from tests.serving.support.object_store import ObjectStore


class MlflowServer:
    """The server as the platform runs it; can be stopped and started again on the same port."""

    def __init__(self, database: str, store: ObjectStore, log: Path) -> None:
        self._port = free_port()
        self._log = log
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TMPDIR": str(log.parent),
            **store.environment,
        }
        self._command = [
            str(Path(sys.executable).parent / "mlflow"),
            "server",
            "--host=127.0.0.1",
            f"--port={self._port}",
            f"--backend-store-uri={database}",
            f"--artifacts-destination=s3://{store.bucket}",
            "--serve-artifacts",
            "--workers=1",
            f"--allowed-hosts=127.0.0.1:{self._port}",
        ]
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = Process(self._command, self._environment, self._log)
        self._process.await_ready(self.is_up)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def set_alias(self, name: str, alias: str, version: str) -> None:
        body = {"name": name, "alias": alias, "version": version}
        httpx.post(f"{self._api}/registered-models/alias", json=body, timeout=10).raise_for_status()

    def model_file(self, name: str, version: str) -> str:
        """The key of a version's `model.onnx` in the bucket."""
        query = {"name": name, "version": version}
        answer = httpx.get(f"{self._api}/model-versions/get-download-uri", params=query, timeout=10).raise_for_status()
        return f"{answer.json()['artifact_uri'].removeprefix('mlflow-artifacts:/')}/model.onnx"

    @property
    def _api(self) -> str:
        return f"{self.url}/api/2.0/mlflow"
