"""Generate the Python messages of everything over gRPC: `.venv/bin/python -m tests.app.support.generate_rpc`."""

import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import cast

FOLDER = Path(__file__).parents[3] / "inference_app" / "rpc"
PROTOS = ("inference", "health", "reflection")

# Into a pool of their own: clients have messages of the same names, and may live in the same process.
_NOT_OURS = "# fmt: off\n# pyright: basic, reportMissingTypeArgument=false\n"
_SHARED, _OWN = "_descriptor_pool.Default()", "_descriptor_pool.DescriptorPool()"


def generate() -> dict[str, str]:
    """The content of each generated file by name."""
    compile_ = import_module("grpc_tools.protoc").main
    with tempfile.TemporaryDirectory() as folder:
        command = ["protoc", f"--proto_path={FOLDER}", f"--python_out={folder}", f"--pyi_out={folder}"]
        if cast("int", compile_([*command, *(f"{name}.proto" for name in PROTOS)])):
            sys.exit("a .proto is wrong, see above")
        texts = {file.name: file.read_text() for file in Path(folder).iterdir()}
    return {name: _NOT_OURS + text.replace(_SHARED, _OWN) for name, text in texts.items()}


if __name__ == "__main__":
    for file, content in generate().items():
        (FOLDER / file).write_text(content)
