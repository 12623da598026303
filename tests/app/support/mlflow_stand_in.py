"""MLflow's REST API as the server uses it, with faults on request; the answers' shapes are those of MLflow 3.17."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.app.support.models import sha256

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Version:
    """One model version.

    Attributes:
        content: Its `model.onnx`; None for none.
        sha256: The tag that promises its SHA-256; None for no tag.
        location: What MLflow says its artifacts' URI is; None for the proxy.
        beside: Its other artifacts, by path.
        tags: Its other tags.
    """

    content: bytes | None
    sha256: str | None
    location: str | None = None
    beside: dict[str, bytes] = field(default_factory=dict[str, bytes])
    tags: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def artifacts(self) -> dict[str, bytes]:
        return self.beside if self.content is None else {"model.onnx": self.content, **self.beside}


@dataclass
class Faults:
    """What goes wrong from now on.

    Attributes:
        api_status: The API answers with this status instead.
        api_delay: Seconds that the API takes for every answer.
        artifact_status: Artifacts do.
        truncate_to: Artifacts end after so many bytes, though more were announced.
        flowing: While cleared, artifacts stop halfway.
    """

    api_status: int | None = None
    api_delay: float = 0
    artifact_status: int | None = None
    truncate_to: int | None = None
    flowing: threading.Event = field(default_factory=threading.Event)


class MlflowStandIn:
    """A tracking server with the registered model `demo`, and maybe others of one version each."""

    def __init__(self, port: int = 0) -> None:
        self.versions: dict[str, Version] = {}
        self.alias: str | None = None
        self.others: dict[str, str] = {}
        self.faults = Faults()
        self.faults.flowing.set()
        self.downloads = 0
        self.resolves = 0
        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.flowing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def publish(self, version: str, content: bytes, promised: str | None = None, **beside: bytes) -> None:
        """Add a version, with a true SHA-256 tag unless another is given, and point the alias at it.

        Args:
            version: Its number.
            content: Its `model.onnx`.
            promised: Another SHA-256.
            beside: Its other artifacts by name, with "_" for ".".
        """
        files = {name.replace("_", "."): each for name, each in beside.items()}
        self.versions[version] = Version(content, promised or sha256(content), beside=files)
        self.alias = version

    def publish_folder(self, version: str, folder: Path, name: str = "demo") -> None:
        """Add a version that is a model folder, and point the model's alias at it.

        Args:
            version: Its number, of no other model's version.
            folder: What a flavour's `save_model` wrote.
            name: The registered model.
        """
        files = {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
        files["SHA256SUMS"] = "".join(f"{sha256(content)}  {path}\n" for path, content in files.items()).encode()
        tags = {"sha256sums": sha256(files["SHA256SUMS"])}
        self.versions[version] = Version(None, None, beside=files, tags=tags)
        if name == "demo":
            self.alias = version
        else:
            self.others[name] = version

    def describe(self, name: str = "demo") -> dict[str, object] | None:
        alias = self.others.get(name, self.alias)
        if alias is None:
            return None
        version = self.versions[alias]
        tags = [{"key": key, "value": value} for key, value in version.tags.items()]
        tags += [] if version.sha256 is None else [{"key": "sha256", "value": version.sha256}]
        return {"name": name, "version": alias, "source": f"models:/m-{alias}", "tags": tags}

    def version_at(self, path: str) -> Version:
        """The version whose artifacts are at or around a path."""
        return self.versions[path.split("/")[2].removeprefix("m-")]

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, object]:
        """Status and document of whatever is no artifact."""
        self.asked += 1
        time.sleep(self.faults.api_delay)
        if self.faults.api_status is not None:
            return self.faults.api_status, {"error_code": "INTERNAL_ERROR"}
        if path.endswith("/registered-models/alias"):
            self.resolves += 1
            found = self.describe(query["name"][0])
            return (200, {"model_version": found}) if found else (400, {"message": "alias not found"})
        if path == ARTIFACTS:
            artifacts = self.version_at(query["path"][0]).artifacts
            top = {path: each for path, each in artifacts.items() if "/" not in path}
            files = [{"path": path, "is_dir": False, "file_size": len(each)} for path, each in top.items()]
            return 200, {"files": files}
        version = query["version"][0]
        location = self.versions[version].location or f"mlflow-artifacts:/1/models/m-{version}/artifacts"
        return 200, {"artifact_uri": location}


def _handler(stand_in: MlflowStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.startswith(f"{ARTIFACTS}/"):
                self._artifact(parts.path.removeprefix(f"{ARTIFACTS}/"))
                return
            self._json(*stand_in.answer(parts.path, parse_qs(parts.query)))

        def _artifact(self, path: str) -> None:
            stand_in.downloads += 1
            faults = stand_in.faults
            if faults.artifact_status is not None:
                self._json(faults.artifact_status, {"error_code": "INTERNAL_ERROR"})
                return
            content = stand_in.version_at(path).artifacts[unquote(path.partition("/artifacts/")[2])]
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            half = len(content) // 2
            self.wfile.write(content[:half])
            self.wfile.flush()
            faults.flowing.wait()
            end = len(content) if faults.truncate_to is None else faults.truncate_to
            self.wfile.write(content[half:end])
            self.close_connection = faults.truncate_to is not None

        def _json(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
            """Say nothing."""

    return Handler
