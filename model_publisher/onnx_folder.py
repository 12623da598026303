"""An ONNX model as a folder of MLflow's ONNX flavour."""
# MLflow's types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from model_publisher.client import Model, infer_signature, save_model
from model_publisher.golden import GOLDEN_FILE

MODEL_FILE = "model.onnx"


@dataclass(frozen=True, slots=True)
class OnnxFolder:
    """What becomes such a folder.

    Attributes:
        model: The ONNX model.
        example_inputs: A few rows, shape (rows, features).
        example_outputs: What the model gives for them, by output name.
        golden: Its golden cases; None for none.
    """

    model: onnx.ModelProto
    example_inputs: NDArray[np.float32]
    example_outputs: Mapping[str, NDArray[Any]]
    golden: bytes | None

    def save(self, folder: Path, known: Model) -> None:
        """Write it.

        Args:
            folder: Where to; not there yet.
            known: What MLflow knows of it already.
        """
        save_model(
            self.model,
            str(folder),
            mlflow_model=known,
            signature=infer_signature(self.example_inputs, dict(self.example_outputs)),
            input_example=self.example_inputs,
            pip_requirements=["onnxruntime"],  # given, for MLflow would load the model to find out
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,  # one file, one SHA-256
        )
        if self.golden is not None:
            (folder / GOLDEN_FILE).write_bytes(self.golden)
