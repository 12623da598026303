"""The layers know nothing of each other; they meet in the app factory."""

import ast
import sys
from pathlib import Path

import pytest

_SERVER = Path(__file__).parents[2] / "inference_app"
_SHARED = {"model", "errors"}
_RECEIVING = {"access_log", "identity", "limits", "logs"}

# What each part of the server may import of the server; a module that is not here may import anything.
_MAY_IMPORT = {
    "cpus": set[str](),
    "logs": set[str](),
    "errors": set[str](),
    "access_log": {"logs", "model"},
    "identity": set[str](),
    "limits": set[str](),
    "metrics": set[str](),
    "model": {"errors"},
    "settings": {"cpus"},
    "engine": {"engine", *_SHARED},
    "protocols": {"protocols", *_SHARED},
    "pyfunc": {"pyfunc", "engine", *_SHARED},
    "registry": {"registry", "settings", *_SHARED},
    "traces": {"traces", "logs", "settings", *_SHARED},
    "rpc": {"rpc", "protocols", "traces", *_RECEIVING, *_SHARED},
    "http": {"http", "protocols", "traces", *_RECEIVING, *_SHARED},
}


@pytest.mark.parametrize("part", _MAY_IMPORT)
def test_imports_point_one_way(part: str) -> None:
    files = list((_SERVER / part).glob("*.py")) or [_SERVER / f"{part}.py"]
    imported = {name for file in files for name in _imports(file)}
    own = {name.split(".")[1] for name in imported if name.startswith("inference_app.")}
    assert own <= _MAY_IMPORT[part]


_NOT_IN_THE_IMAGE = {"mlflow", "pandas", "sklearn", "skl2onnx", "onnx", "model_publisher", "stack", "pulumi"}
_WORKERS_OWN = {"worker", "flavour"}


def test_the_server_needs_only_what_its_image_has() -> None:
    files = [file for file in _SERVER.rglob("*.py") if not (file.parent.name == "pyfunc" and file.stem in _WORKERS_OWN)]
    imported = {name for file in files for name in _imports(file)}
    assert not {name.split(".")[0] for name in imported} & _NOT_IN_THE_IMAGE
    assert not imported & {f"inference_app.pyfunc.{module}" for module in _WORKERS_OWN}


def test_a_worker_needs_nothing_of_the_server_but_numpy() -> None:
    files = [_SERVER / "pyfunc" / f"{module}.py" for module in (*_WORKERS_OWN, "wire", "kernel", "__init__")]
    imported = {name for file in [*files, _SERVER / "model.py", _SERVER / "errors.py"] for name in _imports(file)}
    own = {name for name in imported if name.startswith("inference_app")}
    allowed = {f"inference_app.pyfunc.{module}" for module in ("wire", "kernel", "flavour")}
    assert own <= {"inference_app.model", "inference_app.errors", *allowed}
    outside = {name.split(".")[0] for name in imported - own}
    assert outside - sys.stdlib_module_names == {"numpy", "mlflow", "pandas"}


def _imports(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
