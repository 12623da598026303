import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tools import smoke
from tools.console import Console
from tools.errors import ToolError

_LOGIN = f"Basic {base64.b64encode(b'admin:secret').decode()}"


class _Stack(BaseHTTPRequestHandler):
    """A stack that is well, but for what `broken` names."""

    broken: ClassVar[str] = ""

    def do_GET(self) -> None:
        asked = self.path.startswith("/api") and self.headers.get("Authorization") != _LOGIN
        self._answer(401 if asked else 200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args

    def _answer(self, status: int) -> None:
        status = 500 if self.broken and self.path.endswith(self.broken) else status
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"{}")


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setattr(_Stack, "broken", "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stack)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield {
        "inferenceUrl": url,
        "mlflowUrl": url,
        "mlflowUser": "admin",
        "mlflowPassword": "secret",
        "modelName": "m",
    }
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_stack_that_is_well_passes(outputs: dict[str, str], tmp_path: Path) -> None:
    smoke.check(outputs, "{}", Console(tmp_path / "log"), seconds=5)


@pytest.mark.parametrize("broken", ["/healthz", "/readyz", ":predict", "/health", "/search"])
def test_what_does_not_answer_is_named(
    outputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(_Stack, "broken", broken)
    with pytest.raises(ToolError, match=f"{broken} answers 500"):
        smoke.check(outputs, "{}", Console(tmp_path / "log"), seconds=0.1)


def test_a_password_that_does_not_open_is_a_failure(outputs: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="/search answers 401, 200 is right"):
        smoke.check({**outputs, "mlflowPassword": "old"}, "{}", Console(tmp_path / "log"), seconds=0.1)


def test_mlflow_that_asks_nobody_is_a_failure_where_it_should(outputs: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="/search answers 401, 200 is right"):
        smoke.check({**outputs, "mlflowUser": ""}, "{}", Console(tmp_path / "log"), seconds=0.1)
