"""Who is asked: how each server is started, and where it takes requests.

In commands, files and variables `$name` stands for what `instance.py` fills in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.serving.protocols import Protocol

_V2_PATH = "/v2/models/$model/infer"


@dataclass(frozen=True)
class Server:
    """A server that can be measured.

    Attributes:
        name: Its name in results.
        environment: The virtual environment that it runs in; None is the project's own.
        package: Whose version is shown.
        command: How it is started.
        ready: A path that answers 200 once it serves.
        routes: Protocol -> path, where it speaks that protocol over HTTP.
        grpc: Whether it speaks V2 over gRPC.
        instead: Protocol -> the one that is used for it, where it does not speak it.
        variables: Environment variables of its own.
        files: Files in its working folder.
        computes: Whether it runs the model; if not, its answers are not compared.
    """

    name: str
    environment: str | None
    package: str
    command: tuple[str, ...]
    ready: str
    routes: Mapping[Protocol, str]
    grpc: bool = False
    instead: Mapping[Protocol, Protocol] = field(default_factory=dict[Protocol, Protocol])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    computes: bool = True

    def protocol(self, wanted: Protocol) -> Protocol:
        """The protocol that it is asked in."""
        return self.instead.get(wanted, wanted)


def _ours(name: str, **model: object) -> Server:
    return Server(
        name,
        None,
        "onnxruntime",
        ("$bin/python", "-m", "inference_app"),
        "/readyz",
        {Protocol.V1: "/v1/models/$model:predict", Protocol.V2_JSON: _V2_PATH, Protocol.V2_BINARY: _V2_PATH},
        grpc=True,
        variables={
            "PYTHONPATH": "$repository",
            "INFERENCE_MODELS": json.dumps([{"name": "$model", "source": "file://$model_folder", **model}]),
            "INFERENCE_HOST": "127.0.0.1",
            "INFERENCE_PORT": "$port",
            "INFERENCE_GRPC_PORT": "$grpc_port",
            "INFERENCE_INTRA_OP_THREADS": "1",
            "INFERENCE_CACHE_DIR": "$folder/cache",
            "INFERENCE_MAX_BODY_BYTES": str(16 * 2**20),
        },
    )


def _mosec(name: str, program: str) -> Server:
    return Server(
        name,
        "mosec",
        "mosec",
        ("$bin/python", f"$peers/{program}", "--address=127.0.0.1", "--port=$port", "--log-level=warning"),
        "/",
        {Protocol.V1: "/inference"},
    )


_ALL = (
    _ours("ours"),
    _ours("ours-unbatched", max_batch_size=1),
    Server(
        "kserve",
        "kserve",
        "kserve",
        ("$bin/python", "$peers/kserve_server.py"),
        "/v2/health/ready",
        {Protocol.V1: "/v1/models/$model:predict", Protocol.V2_JSON: _V2_PATH, Protocol.V2_BINARY: _V2_PATH},
        grpc=True,
    ),
    Server(
        "mlserver",
        "mlserver",
        "mlserver",
        ("$bin/mlserver", "start", "."),
        "/v2/health/ready",
        {Protocol.V2_JSON: _V2_PATH},
        grpc=True,
        instead={Protocol.V1: Protocol.V2_JSON},
        files={
            "settings.json": json.dumps({"host": "127.0.0.1", "parallel_workers": 0}),
            "model-settings.json": json.dumps(
                {
                    "name": "$model",
                    "implementation": "mlserver_runtime.OnnxModel",
                    "parameters": {"uri": "$file"},
                    "max_batch_size": "$max_batch",
                    "max_batch_time": "$max_wait_seconds",
                }
            ),
        },
        variables={
            "MLSERVER_HTTP_PORT": "$port",
            "MLSERVER_GRPC_PORT": "$grpc_port",
            "MLSERVER_METRICS_PORT": "$other_port",
        },
    ),
    Server(
        "bentoml",
        "bentoml",
        "bentoml",
        (
            "$bin/bentoml",
            "serve",
            "bentoml_server:Predictor",
            "--host=127.0.0.1",
            "--port=$port",
            "--working-dir=$peers",
        ),
        "/readyz",
        {Protocol.V1: "/predict"},
        variables={"BENTOML_HOME": "$folder/bentoml", "BENTOML_DO_NOT_TRACK": "True"},
    ),
    Server(
        "litserve",
        "litserve",
        "litserve",
        ("$bin/python", "$peers/litserve_server.py"),
        "/health",
        {Protocol.V1: "/predict"},
    ),
    _mosec("mosec", "mosec_server.py"),
    _mosec("mosec-msgspec", "mosec_msgspec_server.py"),
    Server(
        "fastapi",
        "fastapi",
        "fastapi",
        ("$bin/python", "$peers/fastapi_server.py"),
        "/openapi.json",
        {Protocol.V1: "/v1/models/$model:predict"},
    ),
    Server(
        "http-hello",
        None,
        "uvicorn",
        ("$bin/python", "$peers/http_hello_server.py"),
        "/",
        {Protocol.V1: "/"},
        computes=False,
    ),
)

SERVERS = {server.name: server for server in _ALL}
