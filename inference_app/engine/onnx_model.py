"""ONNX models on onnxruntime; the only module that knows the runtime."""
# onnxruntime ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from inference_app.model import Datatype, Signature, Tensor, Tensors, TensorSpec

# Official builds report to their maker and keep a database in the home directory, unless told before they load.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

_DATATYPES = {
    "tensor(bool)": Datatype.BOOL,
    "tensor(uint8)": Datatype.UINT8,
    "tensor(uint16)": Datatype.UINT16,
    "tensor(uint32)": Datatype.UINT32,
    "tensor(uint64)": Datatype.UINT64,
    "tensor(int8)": Datatype.INT8,
    "tensor(int16)": Datatype.INT16,
    "tensor(int32)": Datatype.INT32,
    "tensor(int64)": Datatype.INT64,
    "tensor(float16)": Datatype.FP16,
    "tensor(float)": Datatype.FP32,
    "tensor(double)": Datatype.FP64,
    "tensor(string)": Datatype.BYTES,
}


class OnnxModel:
    """One ONNX model in memory, ready to run.

    Args:
        file: A self-contained ONNX file (no external data).
        threads: Threads that one run may compute on.

    Raises:
        Exception: the runtime's own, where the file is not a model that it can run.
        ValueError: the model takes or gives something that is not a tensor of a known type.
    """

    def __init__(self, file: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that spin while idle burn the container's CPU quota, which throttles the event loop too.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # failures come as exceptions; the runtime's own lines are not JSON
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._signature = Signature(
            inputs=_specs(self._session.get_inputs()), outputs=_specs(self._session.get_outputs())
        )
        self._output_names = [spec.name for spec in self._signature.outputs]

    @property
    def signature(self) -> Signature:
        """The tensors taken and given."""
        return self._signature

    def run(self, inputs: Tensors) -> Tensors:
        """Run the whole graph; see `inference_app.model.Model.run`."""
        outputs = cast("list[Tensor]", self._session.run(self._output_names, dict(inputs)))
        return dict(zip(self._output_names, outputs, strict=True))

    def warm_up(self) -> None:
        """Run once on one row of zeros, so that the first request does not pay for the runtime's lazy allocations."""
        self.run({spec.name: _zeros(spec) for spec in self._signature.inputs})


def _specs(nodes: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(node.name, _datatype(node.name, node.type), _shape(node.shape)) for node in nodes)


def _datatype(name: str, onnx_type: str) -> Datatype:
    if onnx_type not in _DATATYPES:
        raise ValueError(f"tensor {name!r} has type {onnx_type}; this server takes {', '.join(_DATATYPES)}")
    return _DATATYPES[onnx_type]


def _shape(shape: Sequence[int | str | None]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _zeros(spec: TensorSpec) -> Tensor:
    fill = "" if spec.datatype is Datatype.BYTES else 0
    return np.full([1 if size is None else size for size in spec.shape], fill, dtype=spec.datatype.dtype)
