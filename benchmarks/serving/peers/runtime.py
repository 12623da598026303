"""What every peer's program is given, and the onnxruntime session that all of them run."""
# pyright: basic, reportMissingImports=false

import os
from dataclasses import dataclass

import numpy as np
import onnxruntime


@dataclass(frozen=True)
class Given:
    """The bench's side of a peer's program, from the environment."""

    model: str = os.environ.get("BENCH_MODEL", "")
    file: str = os.environ.get("BENCH_FILE", "")
    port: int = int(os.environ.get("BENCH_PORT", "0"))
    grpc_port: int = int(os.environ.get("BENCH_GRPC_PORT", "0"))
    max_batch: int = int(os.environ.get("BENCH_MAX_BATCH", "1"))
    max_wait_ms: int = int(os.environ.get("BENCH_MAX_WAIT_MS", "0"))


class Session:
    """One model on one thread: float rows in, every output by its name out."""

    def __init__(self, file: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.input = self._session.get_inputs()[0].name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """One run of the whole graph."""
        arrays: list = list(self._session.run(self.outputs, {self.input: rows}))
        return dict(zip(self.outputs, arrays, strict=True))

    def predict(self, rows: list) -> list:
        """V1: for each row its output, or an object by output name where there are several."""
        outputs = self.run(np.array(rows, dtype=np.float32))
        columns = [array.tolist() for array in outputs.values()]
        if len(columns) == 1:
            return columns[0]
        return [dict(zip(self.outputs, row, strict=True)) for row in zip(*columns, strict=True)]
