"""ModelInfer: a message to tensors, through the model, and back.

Source: Open Inference Protocol, "GRPC", "Inference". A request with raw contents is answered with raw contents, one
with typed contents with typed ones, unless an output is FP16, which has no typed form.
"""

import time
from collections.abc import Mapping
from typing import Any, cast

from google.protobuf.message import DecodeError

from inference_app.errors import InvalidRequestError
from inference_app.model import (
    Datatype,
    InferRequest,
    Models,
    Outcome,
    OutputRequest,
    ServedModel,
    Signature,
    Tensor,
    Tensors,
    TensorSpec,
)
from inference_app.protocols import tensors
from inference_app.protocols.elements import to_array, wrong_element
from inference_app.rpc import inference_pb2 as pb
from inference_app.rpc.call import Call
from inference_app.rpc.failures import fail
from inference_app.rpc.record import Record

_CONTENTS = {
    Datatype.BOOL: "bool_contents",
    Datatype.UINT8: "uint_contents",
    Datatype.UINT16: "uint_contents",
    Datatype.UINT32: "uint_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.INT8: "int_contents",
    Datatype.INT16: "int_contents",
    Datatype.INT32: "int_contents",
    Datatype.INT64: "int64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}


class Inference:
    """The method, without a task of its own for each call: the model calls back with the outcome."""

    def __init__(self, models: Models, record: Record) -> None:
        self._models = models
        self._record = record

    def handle(self, call: Call, message: bytes) -> None:
        """See `Method.handle`."""
        trace = self._record.began(call)
        request = parse(message)
        served = call.served = self._models.find(request.model_name, request.model_version or None)
        decoded = decode(request, served.model.signature)
        raw = bool(request.raw_input_contents)

        def answer(outcome: Outcome) -> None:
            if isinstance(outcome, Exception):
                fail(call, outcome)
                return
            try:
                message = encode(outcome, decoded, served, raw=raw)
            except Exception as error:  # whatever it is, the call fails with it
                fail(call, error)
                return
            if trace is not None:
                trace.answered()
            call.answer(message)

        deadline = _deadline(call, decoded)
        if trace is not None:
            ticket = trace.start(served, decoded.inputs, deadline, answer)
        else:
            ticket = served.model.start(decoded.inputs, deadline, answer)
        if call.is_open:
            call.on_cancel = ticket.cancel


def parse(message: bytes) -> pb.ModelInferRequest:
    """A request as it was sent.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        return pb.ModelInferRequest.FromString(message)
    except DecodeError:
        raise InvalidRequestError("message: not a ModelInferRequest") from None


def decode(request: pb.ModelInferRequest, signature: Signature) -> InferRequest:
    """A request's tensors; raw ones are views of its message's.

    Raises:
        InvalidRequestError: it is not a request for this model.
    """
    raws = request.raw_input_contents
    if raws and len(raws) != len(request.inputs):
        raise InvalidRequestError(
            f"raw_input_contents: expected one for each of the {len(request.inputs)} inputs, got {len(raws)}"
        )
    inputs: dict[str, Tensor] = {}
    for place, tensor in enumerate(request.inputs):
        name = tensor.name
        if name in inputs:
            raise tensors.repeated(name)
        spec = tensors.find_input(signature, name, place)
        shape = tensor.shape[:]
        elements = tensors.check_input(spec, tensor.datatype, shape)
        if tensor.parameters:
            tensors.refuse_extensions(cast("Mapping[str, object]", tensor.parameters), f"input {name!r}")
        if not raws:
            inputs[name] = _from_contents(tensor.contents, spec, shape, elements)
        elif tensor.HasField("contents"):
            raise InvalidRequestError(f"input {name!r}: contents: expected none beside raw_input_contents")
        else:
            inputs[name] = tensors.from_raw(spec, shape, elements, raws[place])
    tensors.require_all(inputs, signature)
    decoded = InferRequest(inputs, request.id)
    if request.outputs:
        decoded.outputs = _requested(request, signature)
    if "timeout" in request.parameters:
        decoded.timeout = tensors.seconds(_integer(request.parameters["timeout"]))
    return decoded


def encode(outputs: Tensors, request: InferRequest, served: ServedModel, *, raw: bool) -> bytes:
    """A response: the outputs that were asked for, in that order, else all.

    Args:
        outputs: Of the model, by name.
        request: What they are the answer to.
        served: The model.
        raw: Whether as raw contents, where typed ones are possible too.
    """
    specs = served.model.signature.outputs
    if request.outputs is not None:
        by_name = {spec.name: spec for spec in specs}
        specs = tuple(by_name[output.name] for output in request.outputs)
    response = pb.ModelInferResponse(model_name=served.name, model_version=served.version, id=request.id)
    raw = raw or any(spec.datatype is Datatype.FP16 for spec in specs)
    for spec in specs:
        array = outputs[spec.name]
        output = response.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(_raw(array, spec))
        else:
            getattr(output.contents, _CONTENTS[spec.datatype]).extend(_values(array, spec))
    return response.SerializeToString()


def _from_contents(contents: pb.InferTensorContents, spec: TensorSpec, shape: list[int], elements: int) -> Tensor:
    datatype = spec.datatype
    if datatype not in _CONTENTS:
        raise InvalidRequestError(f"input {spec.name!r}: {datatype} has no typed contents; use raw_input_contents")
    field = _CONTENTS[datatype]
    values: list[Any] = [*getattr(contents, field)]
    if len(values) != elements:
        raise tensors.wrong_count(spec, shape, elements, len(values), field)
    if datatype is Datatype.BYTES:
        values = [
            tensors.to_text(value, f"input {spec.name!r}: {field}[{index}]") for index, value in enumerate(values)
        ]
    array = to_array(values, shape, datatype, booleans=False)
    if array is None:
        raise wrong_element(values, datatype, lambda index: f"input {spec.name!r}: {field}[{index}]")
    return array


def _raw(array: Tensor, spec: TensorSpec) -> bytes:
    # A message takes only bytes of its own: a view, which costs more than a few numbers, would be for nothing.
    return bytes(tensors.to_raw(array)) if spec.datatype is Datatype.BYTES else array.tobytes()


def _values(array: Tensor, spec: TensorSpec) -> list[Any]:
    values: list[Any] = array.ravel().tolist()
    return [tensors.to_bytes(value) for value in values] if spec.datatype is Datatype.BYTES else values


def _requested(request: pb.ModelInferRequest, signature: Signature) -> tuple[OutputRequest, ...]:
    outputs: list[OutputRequest] = []
    for output in request.outputs:
        tensors.check_output(signature, output.name, outputs)
        if output.parameters:
            tensors.refuse_extensions(cast("Mapping[str, object]", output.parameters), f"output {output.name!r}")
        outputs.append(OutputRequest(output.name))
    return tuple(outputs)


def _integer(parameter: pb.InferParameter) -> object:
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind else None


def _deadline(call: Call, request: InferRequest) -> float | None:
    if request.timeout is None:
        return call.deadline
    own = time.monotonic() + request.timeout
    return own if call.deadline is None else min(own, call.deadline)
