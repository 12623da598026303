"""ONNX models on onnxruntime; the only module that knows the runtime."""
# onnxruntime ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from inference_app.model import Datatype, Signature, Tensor, Tensors, TensorSpec

# Official builds report to their maker and keep a database in the home directory, unless told before they load.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from inference_app.engine.bound_run import BoundRun

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
# What scikit-learn's converters wrap class probabilities in (ONNX-ML, ZipMap): for each row a map of class to number.
_MAPS = {
    "seq(map(int64,tensor(float)))": Datatype.FP32,
    "seq(map(string,tensor(float)))": Datatype.FP32,
    "seq(map(int64,tensor(double)))": Datatype.FP64,
    "seq(map(string,tensor(double)))": Datatype.FP64,
}
_INTEGERS = {"tensor(int64)": np.int64, "tensor(uint64)": np.uint64}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_CUDA = ("cuda", "tensorrt")  # compute in CUDA's memory


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How models run.

    Attributes:
        threads: Threads that one run may compute on.
        providers: What computes, the preferred first: "cpu", "cuda", "tensorrt".
    """

    threads: int = 1
    providers: tuple[str, ...] = ("cpu",)


class OnnxModel:
    """One ONNX model in memory, ready to run.

    Args:
        file: A self-contained ONNX file (no external data).
        settings: How it runs.

    Raises:
        Exception: the runtime's own, where the file is not a model that it can run.
        ValueError: the model takes or gives something that has no place in a tensor of a known type, or this build of
            the runtime lacks a provider.
    """

    def __init__(self, file: Path, settings: SessionSettings) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        # Threads that spin while idle burn the container's CPU quota, which throttles the event loop too.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # failures come as exceptions; the runtime's own lines are not JSON
        providers = _providers(settings.providers)
        self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        if self._session.get_providers()[0] != providers[0]:
            # The runtime itself goes on with the next provider, at a fraction of the speed.
            raise ValueError(f"{settings.providers[0]} cannot be used here: its driver or a library is missing")
        self._session.disable_fallback()  # which is to the processor, with a line on standard output
        outputs = self._session.get_outputs()
        self._output_names = [output.name for output in outputs]
        # Position of each output that is not a tensor yet when the runtime gives it.
        self._sequences = {place: output.type for place, output in enumerate(outputs) if output.type.startswith("seq(")}
        # numpy has two types of 64-bit integers; the runtime gives the one that other libraries don't know.
        self._integers = [
            (place, _INTEGERS[output.type]) for place, output in enumerate(outputs) if output.type in _INTEGERS
        ]
        self._labels: dict[int, list[Any]] = {}
        self._signature = Signature(inputs=_specs(self._session.get_inputs()), outputs=_specs(outputs))
        self._run: Callable[[Sequence[str], Tensors], list[Any]] = cast("Any", self._session.run)
        if settings.providers[0] in _CUDA and not self._sequences and not self._has_texts():
            self._run = BoundRun(self._session, "cuda")
        if self._sequences:
            self._learn_labels()

    @property
    def signature(self) -> Signature:
        """The tensors taken and given."""
        return self._signature

    def run(self, inputs: Tensors) -> Tensors:
        """Run the whole graph; the runtime's own exceptions where it fails. Safe to call from several threads."""
        outputs = self._run(self._output_names, inputs)
        for place, dtype in self._integers:
            outputs[place] = outputs[place].view(dtype)
        if self._sequences:
            for place in self._sequences:
                outputs[place] = self._as_tensor(place, outputs[place])
        return dict(zip(self._output_names, outputs, strict=True))

    def _has_texts(self) -> bool:
        specs = (*self._signature.inputs, *self._signature.outputs)
        return any(spec.datatype is Datatype.BYTES for spec in specs)

    def _as_tensor(self, place: int, sequence: list[Any]) -> Tensor:
        if self._sequences[place] not in _MAPS:
            return _stacked(sequence)
        keys = self._labels[place]
        dtype = _MAPS[self._sequences[place]].dtype
        return np.array([[row[key] for key in keys] for row in sequence], dtype=dtype).reshape(-1, len(keys))

    def _learn_labels(self) -> None:
        """Only a run tells which classes the maps of an output have; they are the same for every row."""
        zeros = {spec.name: zeros_of(spec, 1) for spec in self._signature.inputs}
        outputs = self._run(self._output_names, zeros)
        specs = list(self._signature.outputs)
        for place, kind in self._sequences.items():
            if kind in _MAPS:
                self._labels[place] = list(outputs[place][0])
                labels = tuple(str(label) for label in self._labels[place])
                specs[place] = replace(specs[place], shape=(None, len(labels)), labels=labels)
        self._signature = replace(self._signature, outputs=tuple(specs))


def zeros_of(spec: TensorSpec, rows: int) -> Tensor:
    """Zeros (or empty strings) that fit an input: so many rows, one element in every other dimension left open."""
    fill = "" if spec.datatype is Datatype.BYTES else 0
    shape = [1 if size is None else size for size in spec.shape]
    if spec.shape and spec.shape[0] is None:
        shape[0] = rows
    return np.full(shape, fill, dtype=spec.datatype.dtype)


def _providers(names: Sequence[str]) -> list[str]:
    wanted = [_PROVIDERS[name] for name in names]
    if missing := set(wanted) - set(onnxruntime.get_available_providers()):
        raise ValueError(f"this build of onnxruntime has no {', '.join(sorted(missing))}")
    return wanted


def _specs(nodes: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(node) for node in nodes)


def _spec(node: Any) -> TensorSpec:
    kind = str(node.type)
    if kind in _MAPS:
        return TensorSpec(node.name, _MAPS[kind], (None, None))
    if kind.startswith("seq(tensor("):
        return TensorSpec(node.name, _datatype(node.name, kind[4:-1]), (None,))
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, _datatype(node.name, kind), shape)


def _datatype(name: str, onnx_type: str) -> Datatype:
    if onnx_type not in _DATATYPES:
        raise ValueError(f"tensor {name!r} has type {onnx_type}; this server takes {', '.join(_DATATYPES)}")
    return _DATATYPES[onnx_type]


def _stacked(sequence: list[Tensor]) -> Tensor:
    """A sequence of tensors as one, along a new first dimension.

    Raises:
        ValueError: they differ in shape, which one tensor cannot show.
    """
    return np.stack(sequence) if sequence else np.empty((0,), dtype=np.float32)
