"""What a model's runs cost, measured once when it is loaded: decides whether requests wait for each other."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inference_app.engine.onnx_model import OnnxModel, zeros_of
from inference_app.model import Datatype, Signature, Tensor, Tensors

# A thread's wake-up and the way back to the event loop cost about this much: a cheaper run is done on the spot.
_INLINE_SECONDS = 300e-6
# Rows that wait for a batch wait for all of it, so a batch may not take longer than this.
_LONGEST_BATCH_SECONDS = 0.05
LARGEST_BATCH = 256  # rows, unless the settings say more
_WORTHWHILE = 0.85  # cost of a row in a doubled batch, relative to before, under which doubling pays
_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Time of a run by its rows, as a line through what was measured.

    Attributes:
        base: Seconds of a run however few rows it has.
        per_row: Seconds for each row.
        best_batch: Rows in a run above which more rows a run no longer pay.
        shares_runs: Whether rows of several requests can go into one run.
    """

    base: float
    per_row: float
    best_batch: int
    shares_runs: bool

    @property
    def small_rows(self) -> int:
        """Rows whose run costs less than handing it to another thread; 0 if even one costs more."""
        room = _INLINE_SECONDS - self.base
        if room < self.per_row:
            return 0
        return min(LARGEST_BATCH, int(room / self.per_row)) if self.per_row else LARGEST_BATCH


def measure(model: OnnxModel) -> Cost:
    """Warm a model up and find what its runs cost, in some 100 ms plus a few runs.

    Raises:
        Exception: the runtime's own, where the model cannot even run one row of zeros.
    """
    one = _seconds(model, 1)
    if not _rows_are_independent(model):
        return Cost(base=one, per_row=0.0, best_batch=1, shares_runs=False)
    rows, seconds = 1, one
    best, best_per_row = 1, one
    while rows < LARGEST_BATCH and 2 * seconds < _LONGEST_BATCH_SECONDS:
        doubled = _seconds(model, 2 * rows)
        rows, seconds = 2 * rows, doubled
        if seconds / rows < _WORTHWHILE * best_per_row:
            best, best_per_row = rows, seconds / rows
    per_row = max(0.0, (seconds - one) / (rows - 1)) if rows > 1 else one
    return Cost(base=max(0.0, one - per_row), per_row=per_row, best_batch=best, shares_runs=True)


def _seconds(model: OnnxModel, rows: int) -> float:
    inputs = _filled(model.signature, [0] * rows)
    model.run(inputs)
    return min(_timed(lambda: model.run(inputs)) for _ in range(_SAMPLES))


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _rows_are_independent(model: OnnxModel) -> bool:
    """Whether rows give the same together as alone; a promise of the signature alone is not believed."""
    specs = (*model.signature.inputs, *model.signature.outputs)
    if not all(spec.shape and spec.shape[0] is None for spec in specs):
        return False
    for fills in ([0, 1, 0], [0, 0, 0]):
        try:
            alone = [model.run(_filled(model.signature, [fill])) for fill in fills]
        except Exception:  # noqa: S112 - not every model takes a one (think of an index); zeros are left to try
            continue
        try:
            together = model.run(_filled(model.signature, fills))
        except Exception:
            return False
        return all(_is_joined(together[name], [run[name] for run in alone]) for name in together)
    return False


def _is_joined(together: Tensor, alone: list[Tensor]) -> bool:
    joined = np.concatenate(alone)
    if together.shape != joined.shape:
        return False
    if together.dtype.kind in "fc":
        return bool(np.allclose(together, joined, rtol=1e-3, atol=1e-5, equal_nan=True))
    return bool(np.array_equal(together, joined))


def _filled(signature: Signature, fills: list[int]) -> Tensors:
    """Inputs whose row number i is full of fills[i]."""
    inputs: dict[str, Tensor] = {}
    for spec in signature.inputs:
        array = zeros_of(spec, len(fills))
        if spec.datatype is not Datatype.BYTES and spec.shape and spec.shape[0] is None:
            for row, fill in enumerate(fills):
                array[row] = fill
        inputs[spec.name] = array
    return inputs
