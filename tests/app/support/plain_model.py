"""A model without the engine: what the registry's tests load, so that they test the registry alone."""
# onnxruntime ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from pathlib import Path
from typing import Any, cast

from inference_app.model import Datatype, Signature, Tensor, Tensors, TensorSpec

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

_DATATYPES = {"tensor(float)": Datatype.FP32, "tensor(int32)": Datatype.INT32}


class PlainModel:
    """Runs in the caller's thread, and takes no queued requests; knows whether it was closed."""

    def __init__(self, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.file = file
        self.is_closed = False
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._signature = Signature(_specs(self._session.get_inputs()), _specs(self._session.get_outputs()))

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def quantized(self) -> bool:
        return self.file.name != "model.onnx"

    def run(self, inputs: Tensors) -> Tensors:
        names = [spec.name for spec in self._signature.outputs]
        return dict(zip(names, cast("list[Tensor]", self._session.run(names, dict(inputs))), strict=True))

    def close(self) -> None:
        self.is_closed = True


def _specs(nodes: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            node.name, _DATATYPES[node.type], tuple(size if isinstance(size, int) else None for size in node.shape)
        )
        for node in nodes
    )
