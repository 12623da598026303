"""MLflow's description of a model's inputs (the file MLmodel), compared with what the ONNX model takes.

Source: MLflow, "Model Signatures": `signature.inputs` is JSON in a YAML string, a list of columns or of tensors.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Discriminator, Field, Tag, TypeAdapter, ValidationError

from inference_app.model import Datatype, Model, TensorSpec
from inference_app.registry.layout import MLMODEL_FILE, SIDE_FILE_BYTES
from inference_app.registry.target import BrokenModelError

# What MLflow writes: a single-quoted scalar below `signature:`, folded at 80 columns. Any other form of YAML is left
# unchecked, for a reader of all YAML is no dependency worth having for a second opinion.
_INPUTS = re.compile(r"^signature:\n(?:  .*\n)*?  inputs: '((?:[^']|'')*)'", re.MULTILINE)
_FOLD = re.compile(r" *\n +")


class _TensorShape(BaseModel):
    dtype: str
    shape: tuple[int, ...]


class _Tensor(BaseModel):
    type: Literal["tensor"]
    name: str | None = None
    spec: _TensorShape = Field(alias="tensor-spec")


class _Column(BaseModel):
    type: str
    name: str | None = None


def _kind(value: object) -> str:
    return "tensor" if isinstance(value, dict) and value.get("type") == "tensor" else "column"  # pyright: ignore[reportUnknownMemberType]


_Input = Annotated[
    Annotated[_Tensor, Tag("tensor")] | Annotated[_Column, Tag("column")],
    Discriminator(_kind),
]
_INPUT_LIST = TypeAdapter(list[_Input])


def check_signature(model_file: Path, model: Model) -> None:
    """Compare a model's inputs with those in the MLmodel beside its file, if there is one with a signature.

    Raises:
        BrokenModelError: an input differs; names it.
        OSError: the file cannot be read.
    """
    file = model_file.with_name(MLMODEL_FILE)
    if not file.is_file() or file.stat().st_size > SIDE_FILE_BYTES:
        return
    described = _read(file.read_text(errors="replace"))
    tensors = [each for each in described if isinstance(each, _Tensor)]
    if len(tensors) < len(described):
        _check_columns(len(described), model.signature.inputs)
    elif tensors:
        _check_tensors(tensors, model.signature.inputs)


def _read(document: str) -> list[_Tensor | _Column]:
    found = _INPUTS.search(document)
    if found is None:
        return []
    try:
        return _INPUT_LIST.validate_json(_FOLD.sub(" ", found[1]).replace("''", "'"))
    except ValidationError:
        return []  # columns that are objects or arrays


def _check_columns(count: int, inputs: tuple[TensorSpec, ...]) -> None:
    """Columns are one input's features, or an input each; their types are of the data frame, which is cast."""
    features = inputs[0].shape[-1] if len(inputs) == 1 and len(inputs[0].shape) == 2 else len(inputs)
    if features is not None and features != count:
        raise BrokenModelError(f"MLflow's signature has {count} columns, the model takes {', '.join(map(str, inputs))}")


def _check_tensors(tensors: list[_Tensor], inputs: tuple[TensorSpec, ...]) -> None:
    if len(tensors) != len(inputs):
        raise BrokenModelError(
            f"MLflow's signature has {len(tensors)} inputs, the model takes {', '.join(map(str, inputs))}"
        )
    by_name = {spec.name: spec for spec in inputs}
    for tensor in tensors:
        spec = inputs[0] if tensor.name is None else by_name.get(tensor.name)
        if spec is None:
            raise BrokenModelError(
                f"MLflow's signature has an input {tensor.name!r}, the model takes {', '.join(map(str, inputs))}"
            )
        if not (_is_of(spec.datatype, tensor.spec.dtype) and _fits(spec.shape, tensor.spec.shape)):
            raise BrokenModelError(
                f"MLflow's signature has input {spec.name!r} as {tensor.spec.dtype} {list(tensor.spec.shape)}, "
                f"the model takes {spec}"
            )


def _is_of(datatype: Datatype, dtype: str) -> bool:
    if datatype is Datatype.BYTES:
        return dtype in {"str", "object", "bytes"}
    try:
        return np.dtype(dtype) == datatype.dtype
    except TypeError:
        return False


def _fits(shape: tuple[int | None, ...], described: tuple[int, ...]) -> bool:
    """Same rank, and no dimension that both fix at different sizes; -1 is MLflow's for any."""
    return len(shape) == len(described) and all(
        ours is None or theirs in (-1, ours) for ours, theirs in zip(shape, described, strict=True)
    )
