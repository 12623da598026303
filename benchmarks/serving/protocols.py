"""What clients send and what comes back, in each of the protocols that the servers speak over HTTP."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.models import BenchModel

_DTYPES = {"FP32": np.float32, "INT64": np.int64}
_JSON_LENGTH = "Inference-Header-Content-Length"

Outputs = Mapping[str, NDArray[Any]]


class Protocol(StrEnum):
    """A way to ask; the value is its name in reports."""

    V1 = "V1 JSON"
    V2_JSON = "V2 JSON"
    V2_BINARY = "V2 binary"
    V2_GRPC = "V2 gRPC"


@dataclass(frozen=True)
class HttpRequest:
    """The body of a POST and the headers that go with it."""

    body: bytes
    headers: Mapping[str, str]


def encode(protocol: Protocol, model: BenchModel, rows: NDArray[np.float32]) -> HttpRequest:
    """A request about some rows, as a client in Python would write it."""
    as_json = {"Content-Type": "application/json"}
    if protocol is Protocol.V1:
        return HttpRequest(json.dumps({"instances": _plain(rows)}).encode(), as_json)
    tensor: dict[str, Any] = {"name": model.input_name, "shape": list(rows.shape), "datatype": "FP32"}
    if protocol is Protocol.V2_JSON:
        return HttpRequest(json.dumps({"inputs": [{**tensor, "data": _plain(rows.ravel())}]}).encode(), as_json)
    raw = rows.tobytes()
    tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return HttpRequest(head + raw, {"Content-Type": "application/octet-stream", _JSON_LENGTH: str(len(head))})


def decode(protocol: Protocol, body: bytes, headers: Mapping[str, str], names: list[str]) -> Outputs:
    """The outputs in an answer, by name; V1 does not name a model's only output, so it takes the names to expect."""
    if protocol is Protocol.V1:
        answer: dict[str, Any] | list[Any] = json.loads(body)
        rows: list[Any] = answer["predictions"] if isinstance(answer, dict) else answer
        if len(names) == 1:
            return {names[0]: np.array(rows)}
        return {name: np.array([row[name] for row in rows]) for name in names}
    length = int(headers.get(_JSON_LENGTH.lower(), len(body)))
    raw = memoryview(body)[length:]
    outputs: dict[str, NDArray[Any]] = {}
    for tensor in json.loads(body[:length])["outputs"]:
        dtype = _DTYPES[tensor["datatype"]]
        if "data" in tensor:
            outputs[tensor["name"]] = np.array(tensor["data"], dtype=dtype)
            continue
        size = tensor["parameters"]["binary_data_size"]
        outputs[tensor["name"]] = np.frombuffer(raw[:size], dtype=dtype)
        raw = raw[size:]
    return outputs


def difference(outputs: Outputs, expected: Outputs) -> str | None:
    """What is wrong with an answer; None if it is what the model gives."""
    for name, wanted in expected.items():
        if name not in outputs:
            return f"no output {name!r} in the answer"
        got = np.asarray(outputs[name], dtype=np.float64).ravel()
        if got.shape != (wanted.size,) or not np.allclose(got, wanted.ravel(), rtol=1e-3, atol=1e-4):
            return f"output {name!r} is not what the model gives"
    return None


def _plain(rows: NDArray[np.float32]) -> Any:
    """Each number in the fewest digits that give it back, as it would stand in a file."""
    numbers = [float(str(number)) for number in rows.ravel()]
    return np.array(numbers, dtype=np.float64).reshape(rows.shape).tolist()
