"""Asks a server over V2 gRPC: `grpc_client.py TARGET MODEL INPUT QUESTIONS CLIENTSxSECONDS`.

Runs in an environment of its own. The last line of the output is JSON: the outputs of each question, asked all at the
same time, and if there are seconds for it, what came of as many clients that ask them in turns.
"""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import asyncio
import json
import sys
import time

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

METHOD = "/inference.GRPCInferenceService/ModelInfer"
DTYPES = {"FP32": np.float32, "INT64": np.int64}


async def main(target: str, model: str, input_name: str, questions: str, clients: str) -> None:
    """Ask each question once, then put load on the server."""
    count, _, seconds = clients.partition("x")
    requests = [encode(model, input_name, rows) for rows in np.load(questions)]
    # One TCP connection for each client: without a pool of its own a channel would share them.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(target, options) for _ in range(int(count))]
    # Bytes as they are: neither writing nor reading messages is what is measured.
    calls = [channel.unary_unary(METHOD) for channel in channels]
    first = [calls[0](request, timeout=30, wait_for_ready=True) for request in requests]
    said = {"outputs": [decode(answer) for answer in await asyncio.gather(*first)]}
    if seconds != "0":
        said |= await load(calls, requests, float(seconds))
    print(json.dumps(said))


async def load(calls: list[grpc.aio.UnaryUnaryMultiCallable], requests: list[bytes], seconds: float) -> dict:
    """All clients at once; a call that fails raises."""
    await asyncio.gather(*(call(requests[0], timeout=30, wait_for_ready=True) for call in calls))
    began = time.perf_counter()
    latencies = np.concatenate(await asyncio.gather(*(ask(call, requests, began + seconds) for call in calls)))
    took = time.perf_counter() - began
    return {"requests": len(latencies), "seconds": took, "p99": float(np.percentile(latencies, 99)), "failed": 0}


async def ask(call: grpc.aio.UnaryUnaryMultiCallable, requests: list[bytes], until: float) -> np.ndarray:
    """One client: the next request as soon as there is an answer; seconds of each."""
    latencies = []
    now = time.perf_counter()
    while now < until:
        await call(requests[len(latencies) % len(requests)], timeout=30)
        after = time.perf_counter()
        latencies.append(after - now)
        now = after
    return np.array(latencies)


def encode(model: str, input_name: str, rows: np.ndarray) -> bytes:
    """A request with its tensor in raw_input_contents."""
    request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[rows.tobytes()])
    request.inputs.add(name=input_name, datatype="FP32", shape=rows.shape)
    return request.SerializeToString()


def decode(answer: bytes) -> dict[str, list]:
    """Outputs by name, raw or not."""
    response = service_pb2.ModelInferResponse.FromString(answer)
    outputs = {}
    for index, output in enumerate(response.outputs):
        if response.raw_output_contents:
            values = np.frombuffer(response.raw_output_contents[index], DTYPES[output.datatype]).tolist()
        else:
            contents = output.contents
            values = list(contents.fp32_contents if output.datatype == "FP32" else contents.int64_contents)
        outputs[output.name] = values
    return outputs


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
