"""The layers know nothing of each other; they meet in the app factory."""

import ast
from pathlib import Path

import pytest

_SERVER = Path(__file__).parents[2] / "inference_app"
_SHARED = {"model", "errors"}

# What each part of the server may import of the server; a module that is not here may import anything.
_MAY_IMPORT = {
    "cpus": set[str](),
    "logs": set[str](),
    "errors": set[str](),
    "metrics": set[str](),
    "model": {"errors"},
    "settings": {"cpus"},
    "engine": {"engine", *_SHARED},
    "protocols": {"protocols", *_SHARED},
    "registry": {"registry", "settings", *_SHARED},
    "traces": {"traces", "logs", "settings", *_SHARED},
    "rpc": {"rpc", "protocols", "logs", "traces", *_SHARED},
    "http": {"http", "protocols", "logs", "traces", *_SHARED},
}


@pytest.mark.parametrize("part", _MAY_IMPORT)
def test_imports_point_one_way(part: str) -> None:
    files = list((_SERVER / part).glob("*.py")) or [_SERVER / f"{part}.py"]
    imported = {name for file in files for name in _imports(file)}
    own = {name.split(".")[1] for name in imported if name.startswith("inference_app.")}
    assert own <= _MAY_IMPORT[part]


def test_the_server_needs_only_what_its_image_has() -> None:
    imported = {name.split(".")[0] for file in _SERVER.rglob("*.py") for name in _imports(file)}
    assert not imported & {"mlflow", "sklearn", "skl2onnx", "onnx", "model_publisher", "stack", "pulumi"}


def _imports(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
