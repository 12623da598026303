"""Golden cases: inputs with the outputs that a model must give for them, beside the model file.

`golden.json`: {"inputs": {name: nested list}, "outputs": {name: nested list}, "atol": 1e-5, "rtol": 1e-5}. A number may
differ by `atol` plus `rtol` times the expected one; whatever is no floating-point number must be equal.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from inference_app.model import Model, Tensors
from inference_app.registry.layout import SIDE_FILE_BYTES, golden_file
from inference_app.registry.target import BrokenModelError


class _Golden(BaseModel):
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    atol: float = Field(default=1e-5, ge=0)
    rtol: float = Field(default=1e-5, ge=0)


def check_golden(model_file: Path, model: Model) -> None:
    """Run the golden cases of a model file, if there are any.

    Raises:
        BrokenModelError: an output differs (named, with the row), or the cases make no sense.
        OSError: they cannot be read.
    """
    file = model_file.with_name(golden_file(model_file.name))
    if not file.is_file():
        return
    if file.stat().st_size > SIDE_FILE_BYTES:
        raise BrokenModelError(f"its {file.name} is larger than {SIDE_FILE_BYTES} bytes")
    try:
        golden = _Golden.model_validate_json(file.read_bytes())
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"])) or "the document"
        raise BrokenModelError(f"its {file.name} is wrong at {where}: {detail['msg']}") from error
    try:
        outputs = _run(golden, model)
        for name in golden.outputs:
            _compare(name, outputs, golden)
    except BrokenModelError:
        raise
    except Exception as error:
        # Lists that are no tensor, rows that the runtime does not take: whichever it is, nothing was shown to work.
        raise BrokenModelError(f"its {file.name} cannot be run: {type(error).__name__}: {error}") from error


def _run(golden: _Golden, model: Model) -> Tensors:
    specs = {spec.name: spec for spec in model.signature.inputs}
    if specs.keys() != golden.inputs.keys():
        raise BrokenModelError(f"golden cases: inputs are {', '.join(golden.inputs)}, it takes {', '.join(specs)}")
    return model.run({name: np.asarray(golden.inputs[name], spec.datatype.dtype) for name, spec in specs.items()})


def _compare(name: str, outputs: Tensors, golden: _Golden) -> None:
    if name not in outputs:
        raise BrokenModelError(f"golden cases: output {name!r} is expected, the model gives {', '.join(outputs)}")
    got = outputs[name]
    expected = np.asarray(golden.outputs[name], got.dtype)
    if got.shape != expected.shape:
        raise BrokenModelError(f"golden cases: output {name!r} has shape {got.shape}, expected is {expected.shape}")
    if np.issubdtype(got.dtype, np.floating):
        wide, wanted = got.astype(np.float64), expected.astype(np.float64)
        differs = ~np.isclose(wide, wanted, rtol=golden.rtol, atol=golden.atol, equal_nan=True)
    else:
        differs = np.asarray(got != expected)
    if differs.any():
        place = tuple(int(index) for index in np.argwhere(differs)[0])
        row = place[0] if place else 0
        raise BrokenModelError(
            f"golden cases: output {name!r}, row {row}: {got[place]!s} instead of {expected[place]!s} "
            f"(atol {golden.atol:g}, rtol {golden.rtol:g})"
        )
