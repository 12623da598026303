"""Small ONNX models, made on the spot."""

# scikit-learn and its converter ship no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression


def scaling(factor: float, features: int = 3) -> bytes:
    """`input` FP32[any, features] to `output`, every number times a factor: predictions tell which model made them."""
    return _model(
        [helper.make_node("Mul", ["input", "factor"], ["output"])],
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, features])],
        outputs=[helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, features])],
        constants=[numpy_helper.from_array(np.array(factor, dtype=np.float32), "factor")],
    )


def padded(factor: float, size: int) -> bytes:
    """A model that scales, with a field of so many bytes (less than 2**28) that no reader of ONNX knows."""
    length = [size >> shift & 0x7F | (0x80 if shift < 21 else 0) for shift in (0, 7, 14, 21)]
    return scaling(factor) + bytes([15 << 3 | 2, *length]) + bytes(size)


def integers() -> bytes:
    """`input` INT32[any, 2] to itself."""
    return _model(
        [helper.make_node("Identity", ["input"], ["output"])],
        inputs=[helper.make_tensor_value_info("input", TensorProto.INT32, [None, 2])],
        outputs=[helper.make_tensor_value_info("output", TensorProto.INT32, [None, 2])],
    )


def unrunnable() -> bytes:
    """Loads, and fails on every row: reshapes two numbers into seven."""
    return _model(
        [helper.make_node("Reshape", ["input", "shape"], ["output"])],
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3])],
        outputs=[helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        constants=[numpy_helper.from_array(np.array([7], dtype=np.int64), "shape")],
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def failing_above_one_row() -> bytes:
    """Promises any number of rows, and can reshape only the three numbers of one."""
    return _model(
        [helper.make_node("Reshape", ["input", "shape"], ["output"])],
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3])],
        outputs=[helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        constants=[numpy_helper.from_array(np.array([1, 3], dtype=np.int64), "shape")],
    )


def sum_over_rows() -> bytes:
    """Adds the batch's mean to every row: what a row gives depends on who it shares a run with."""
    return _model(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Add", ["input", "mean"], ["output"]),
        ],
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3])],
        outputs=[helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 3])],
    )


def lookup() -> bytes:
    """`input` INT64[any, 1], an index into three rows; another index fails when it runs."""
    return _model(
        [helper.make_node("Gather", ["table", "input"], ["output"])],
        inputs=[helper.make_tensor_value_info("input", TensorProto.INT64, [None, 1])],
        outputs=[helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 1, 2])],
        constants=[numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "table")],
    )


def classifier(*, zipmap: bool) -> bytes:
    """A logistic regression of two numbers, with its probabilities as maps or as a tensor."""
    features = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    model = LogisticRegression().fit(features, [0, 0, 1, 1])
    exported = to_onnx(model, features[:1], options={"zipmap": zipmap}, target_opset=17)
    return cast("onnx.ModelProto", exported).SerializeToString()


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
) -> bytes:
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def slow(rounds: int) -> bytes:
    """`input` FP32[any, 3] to its absolute values, after so many rounds of a loop: some 2 us each."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Abs", ["before"], ["after"])],
        "body",
        [
            info("round", TensorProto.INT64, []),
            info("on", TensorProto.BOOL, []),
            info("before", TensorProto.FLOAT, None),
        ],
        [info("still_on", TensorProto.BOOL, []), info("after", TensorProto.FLOAT, None)],
    )
    return _model(
        [helper.make_node("Loop", ["rounds", "", "input"], ["output"], body=body)],
        inputs=[info("input", TensorProto.FLOAT, [None, 3])],
        outputs=[info("output", TensorProto.FLOAT, [None, 3])],
        constants=[numpy_helper.from_array(np.array(rounds, dtype=np.int64), "rounds")],
    )
