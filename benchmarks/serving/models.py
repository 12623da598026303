"""The models that are served, and the rows that are asked about: the same bytes in every run."""
# numpy, onnx and onnxruntime ship no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model_publisher.example import train
from model_publisher.export import export

_OPSET = 17
_IR = 9
_MLP_LAYERS = (64, 1536, 1536, 1536, 10)
# RegNetX-800MF, 29 MB of weights: channels and blocks of each stage, and channels of each group.
# Source: Radosavovic et al., "Designing Network Design Spaces", 2020.
_CONV_STAGES = ((64, 1), (128, 3), (288, 7), (672, 5))
_CONV_STEM = 32
_CONV_GROUP = 16
_CONV_CLASSES = 1000
_CONV_INPUT = (1, 3, 224, 224)


@dataclass(frozen=True)
class BenchModel:
    """A model on disk.

    Attributes:
        name: What it is served under.
        folder: As model servers want it: `<folder>/1/model.onnx`.
        input_name: The name of its one input.
        rows: Inputs to ask about, the batch first.
    """

    name: str
    folder: Path
    input_name: str
    rows: NDArray[np.float32]

    @property
    def file(self) -> Path:
        """The ONNX file."""
        return self.folder / "1" / "model.onnx"

    def expected(self, rows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """What onnxruntime itself answers: outputs by name."""
        session = onnxruntime.InferenceSession(str(self.file), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        outputs = cast("list[NDArray[Any]]", session.run(names, {self.input_name: rows}))
        return dict(zip(names, outputs, strict=True))


def write(name: str, folder: Path) -> BenchModel:
    """Make one of the models and write it below a folder."""
    proto, rows = _MAKERS[name]()
    model = BenchModel(name, folder / name, proto.graph.input[0].name, rows)
    model.file.parent.mkdir(parents=True)
    onnx.save(proto, model.file)
    return model


def _tabular() -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    example = train(0)
    return export(example.model, example.features.shape[1]), example.features


def _mlp() -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    graph = _Graph(seed=0)
    value = "input"
    for number, (width, after) in enumerate(pairwise(_MLP_LAYERS), start=1):
        weights = [graph.weight((width, after), fan_in=width), graph.weight((after,), fan_in=width)]
        value = graph.add("Gemm", [value, *weights])
        if number < len(_MLP_LAYERS) - 1:
            value = graph.add("Relu", [value])
    rows = graph.random.standard_normal((256, _MLP_LAYERS[0])).round(4).astype(np.float32)
    return graph.model(["N", _MLP_LAYERS[0]], ["N", _MLP_LAYERS[-1]]), rows


def _conv() -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    graph = _Graph(seed=1)
    value = graph.add("Relu", [graph.convolution("input", 3, _CONV_STEM, kernel=3, stride=2)])
    before = _CONV_STEM
    for channels, blocks in _CONV_STAGES:
        for block in range(blocks):
            value = graph.bottleneck(value, before, channels, stride=2 if block == 0 else 1, group=_CONV_GROUP)
            before = channels
    value = graph.add("Flatten", [graph.add("GlobalAveragePool", [value])])
    weights = [graph.weight((before, _CONV_CLASSES), fan_in=before), graph.weight((_CONV_CLASSES,), fan_in=before)]
    graph.add("Gemm", [value, *weights])
    rows = graph.random.standard_normal(_CONV_INPUT).astype(np.float32)
    return graph.model(list(_CONV_INPUT), [1, _CONV_CLASSES]), rows


class _Graph:
    """Nodes and random weights as they are added."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def weight(self, shape: tuple[int, ...], fan_in: int) -> str:
        """Scaled so that values neither vanish nor grow from layer to layer."""
        name = f"weight{len(self._weights)}"
        values = self.random.standard_normal(shape) * np.sqrt(2 / fan_in)
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        """A node; the name of its output."""
        name = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def convolution(self, value: str, before: int, after: int, *, kernel: int, stride: int, group: int = 0) -> str:  # noqa: PLR0913 - a convolution has these
        """With bias, as it is once batch normalisation is folded in; groups of so many channels, 0 for one of all."""
        reach = group or before
        fan_in = reach * kernel * kernel
        weights = [self.weight((after, reach, kernel, kernel), fan_in), self.weight((after,), fan_in)]
        pads = [kernel // 2] * 4
        groups = before // reach
        return self.add(
            "Conv", [value, *weights], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, group=groups
        )

    def bottleneck(self, value: str, before: int, after: int, *, stride: int, group: int) -> str:
        """A residual block of RegNetX: 1 x 1, 3 x 3 in groups, 1 x 1."""
        inner = self.add("Relu", [self.convolution(value, before, after, kernel=1, stride=1)])
        inner = self.add("Relu", [self.convolution(inner, after, after, kernel=3, stride=stride, group=group)])
        inner = self.convolution(inner, after, after, kernel=1, stride=1)
        if before != after:
            value = self.convolution(value, before, after, kernel=1, stride=stride)
        return self.add("Relu", [self.add("Add", [inner, value])])

    def model(self, takes: list[Any], gives: list[Any]) -> onnx.ModelProto:
        """All of it, checked; what the last node gives is what the model gives."""
        self._nodes[-1].output[0] = "output"
        graph = helper.make_graph(
            self._nodes,
            "bench",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, takes)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, gives)],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model)
        return model


_MAKERS: Mapping[str, Callable[[], tuple[onnx.ModelProto, NDArray[np.float32]]]] = {
    "tabular": _tabular,
    "mlp": _mlp,
    "conv": _conv,
}
