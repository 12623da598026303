"""Runs on an accelerator with inputs and outputs bound to its memory.

Without binding the runtime copies in the midst of a run, tensor by tensor, where the graph first needs one. Bound, the
inputs are there when the run begins, and what it gives is copied once, after all of it is computed.
"""
# onnxruntime ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from typing import Any, cast

import onnxruntime

from inference_app.model import Tensors


class BoundRun:
    """As `InferenceSession.run`, for models that take and give tensors of numbers only. Safe to use by several threads.

    Args:
        session: Computes.
        device: Whose memory, as the runtime names it: "cuda"; "cpu" for the session's own.
    """

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        self._session = session
        self._device = device

    def __call__(self, names: Sequence[str], inputs: Tensors) -> list[Any]:
        """The outputs of these names, in the host's memory."""
        # One for each run: a binding holds the tensors of one.
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device, 0))
        for name in names:
            binding.bind_output(name, self._device, 0)
        self._session.run_with_iobinding(binding)
        return cast("list[Any]", binding.copy_outputs_to_cpu())
