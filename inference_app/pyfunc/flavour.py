"""An MLflow model as tensors in, tensors out. For the worker process only.

Source: MLflow, "Model Signatures" (columns and tensors), "Inference Data" (what `predict` takes and gives).
"""
# MLflow's and pandas' types are partial, and models may give anything.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types import TensorSpec as MlflowTensorSpec

from inference_app.model import Datatype, Signature, Tensor, Tensors, TensorSpec

_OF_COLUMNS = {
    DataType.boolean: Datatype.BOOL,
    DataType.integer: Datatype.INT32,
    DataType.long: Datatype.INT64,
    DataType.float: Datatype.FP32,
    DataType.double: Datatype.FP64,
    DataType.string: Datatype.BYTES,
    DataType.datetime: Datatype.BYTES,  # ISO 8601
}
_OF_DTYPES = {datatype.dtype: datatype for datatype in Datatype}
_INPUT, _OUTPUT = "input", "output"  # names where MLflow's signature has none


class Flavour:
    """A model folder, loaded through MLflow's `python_function` interface and warmed up.

    Args:
        folder: What `save_model` of a flavour wrote. Its signature has to say what it takes; where it does not say what
            it gives, its input example shows it.

    Raises:
        Exception: MLflow's or the model's own, where it does not load or does not run on its example.
        ValueError: it has no signature, or one with what is no tensor.
    """

    def __init__(self, folder: Path) -> None:
        self._model = mlflow.pyfunc.load_model(str(folder))
        metadata = self._model.metadata
        signature = metadata.signature
        if signature is None or signature.inputs is None or not signature.inputs.inputs:
            raise ValueError("it has no signature of inputs; save it with signature=infer_signature(inputs, outputs)")
        self._columns = not signature.inputs.is_tensor_spec()
        self._is_named = bool(signature.inputs.has_input_names())
        self._dates = frozenset(
            name
            for name, each in zip(_names(signature.inputs, _INPUT), signature.inputs.inputs, strict=True)
            if isinstance(each, ColSpec) and each.type is DataType.datetime
        )
        inputs = _specs(signature.inputs, _INPUT)
        outputs = _specs(signature.outputs, _OUTPUT) if signature.outputs else ()
        self.signature = Signature(inputs, outputs)
        example = metadata.load_input_example(str(folder))
        if example is not None:
            found = _tensors(self._model.predict(example), outputs)
            self.signature = Signature(inputs, outputs or tuple(_spec_of(*each) for each in found.items()))
        elif not outputs:
            raise ValueError("neither its signature nor an input example says what it gives")

    def run(self, inputs: Tensors) -> Tensors:
        """Predict, from every input of the signature to every output.

        Raises:
            Exception: the model's own.
            ValueError: it gave what its signature does not say.
        """
        return _tensors(self._model.predict(self._data(inputs)), self.signature.outputs)

    def _data(self, inputs: Tensors) -> Any:
        """What `predict` wants: a data frame of columns, an array, or arrays by name."""
        if not self._columns:
            return dict(inputs) if self._is_named else next(iter(inputs.values()))
        columns = {
            name: pd.to_datetime(array, format="ISO8601") if name in self._dates else array
            for name, array in inputs.items()
        }
        frame = pd.DataFrame(columns)
        if not self._is_named:
            frame.columns = range(len(columns))
        return frame


def _names(schema: Schema, unnamed: str) -> list[str]:
    inputs = schema.inputs
    if len(inputs) == 1:
        return [inputs[0].name or unnamed]
    return [each.name or f"{unnamed}_{place}" for place, each in enumerate(inputs)]


def _specs(schema: Schema, unnamed: str) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, each) for name, each in zip(_names(schema, unnamed), schema.inputs, strict=True))


def _spec(name: str, described: Any) -> TensorSpec:
    if isinstance(described, MlflowTensorSpec):
        shape = tuple(None if size < 0 else int(size) for size in described.shape)
        return TensorSpec(name, _datatype(name, described.type), shape)
    datatype = _OF_COLUMNS.get(described.type) if isinstance(described.type, DataType) else None
    if datatype is None:
        known = ", ".join(each.name for each in _OF_COLUMNS)
        raise ValueError(f"column {name!r} is of type {described.type}; this server takes {known}")
    return TensorSpec(name, datatype, (None,))


def _spec_of(name: str, array: Tensor) -> TensorSpec:
    return TensorSpec(name, _OF_DTYPES[array.dtype], (None, *array.shape[1:]))


def _datatype(name: str, dtype: np.dtype[Any]) -> Datatype:
    if dtype.kind in "UST":
        return Datatype.BYTES
    if dtype not in _OF_DTYPES:
        raise ValueError(f"tensor {name!r} is of {dtype}; this server takes {', '.join(map(str, _OF_DTYPES))}")
    return _OF_DTYPES[dtype]


def _tensors(result: Any, specs: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """What `predict` gave, by the signature's names; by its own where there is no signature of outputs."""
    named = _named(result, specs)
    if not specs:
        return {name: _tensor(name, value) for name, value in named.items()}
    if set(named) != {spec.name for spec in specs}:
        raise ValueError(f"it gave {', '.join(named)}; its signature has {', '.join(spec.name for spec in specs)}")
    return {spec.name: _as_promised(_tensor(spec.name, named[spec.name]), spec) for spec in specs}


def _named(result: Any, specs: Sequence[TensorSpec]) -> dict[str, Any]:
    names = [spec.name for spec in specs] or [_OUTPUT]
    if isinstance(result, pd.DataFrame) and not (len(names) == 1 and len(result.columns) > 1):
        given = [str(name) for name in result.columns]
        if specs and len(given) == len(names) and set(given) != set(names):
            given = names  # columns without names of their own
        return {name: result.iloc[:, place] for place, name in enumerate(given)}
    if isinstance(result, Mapping):
        return {str(name): value for name, value in result.items()}
    if len(names) == 1:
        return {names[0]: result}
    rows = np.asarray(result)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError(f"it gave an array of shape {rows.shape}; its signature has {', '.join(names)}")
    return {name: rows[:, place] for place, name in enumerate(names)}


def _tensor(name: str, value: Any) -> Tensor:
    dense = value.toarray() if hasattr(value, "toarray") else value
    array = np.atleast_1d(np.asarray(dense))
    if array.dtype.kind == "M":
        return np.datetime_as_string(array).astype(np.object_)
    if array.dtype.kind in "UT":
        return array.astype(np.object_)
    if array.dtype.kind == "S":
        return array.astype(np.object_)
    if array.dtype.kind == "O":
        kinds = {type(each) for each in array.flat}
        if kinds <= {str, bytes}:
            return array
        array = np.array(array.tolist())  # numbers in an array of objects
    if array.dtype not in _OF_DTYPES or array.dtype.kind == "O":
        raise ValueError(f"output {name!r} is of {array.dtype}, which is no datatype of a tensor")
    return array


def _as_promised(array: Tensor, spec: TensorSpec) -> Tensor:
    wanted = spec.datatype.dtype
    if array.dtype != wanted:
        array = array.astype(wanted, casting="same_kind")
    is_fit = array.ndim == len(spec.shape) and all(
        size in (None, got) for got, size in zip(array.shape, spec.shape, strict=True)
    )
    if not is_fit:
        raise ValueError(f"output of shape {list(array.shape)}; its signature has {spec}")
    return array
