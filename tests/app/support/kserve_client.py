"""Asks a server with KServe's own client: `kserve_client.py HTTP_URL GRPC_TARGET`.

Runs in KServe's environment. The last line of the output is JSON: what each kind of client got.
"""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import asyncio
import json
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

ROWS = np.array([[1, 2.5, -3], [4, 5, 6]], dtype=np.float32)


async def main(url, target):
    """One after the other."""
    said = {"v1": await rest(url, "v1"), "v2": await rest(url, "v2"), "grpc": await over_grpc(target)}
    print(json.dumps(said))


async def rest(url, protocol):
    """The REST client, in V1 or V2."""
    async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
        said = {
            "live": await client.is_server_live(url),
            "model": await client.is_model_ready(url, "demo"),
        }
        if protocol == "v2":  # V1 has none
            said["ready"] = await client.is_server_ready(url)
        if protocol == "v1":
            answer = await client.infer(url, {"instances": ROWS.tolist()}, model_name="demo")
            said["predictions"] = answer["predictions"]
        else:
            for form in ("json", "binary"):
                answer = await client.infer(url, request(binary=form == "binary"), model_name="demo")
                said[form] = answer.outputs[0].as_numpy().tolist()
        try:
            await client.infer(url, {"instances": []} if protocol == "v1" else request(), model_name="other")
        except httpx.HTTPStatusError as error:
            said["other"] = str(error.response.status_code)
    return said


async def over_grpc(target):
    """The gRPC client."""
    async with InferenceGRPCClient(target) as client:
        said = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model": await client.is_model_ready("demo"),
        }
        for form in ("json", "binary"):
            answer = await client.infer(request(binary=form == "binary"))
            said[form] = answer.outputs[0].as_numpy().tolist()
            said["model_version"] = answer.model_version
        said["other"] = await code(client, request("other"))
        said["wrong"] = await code(client, request(rows=ROWS[:, :2]))
    return said


async def code(client, wrong):
    """The status of a request that fails."""
    try:
        await client.infer(wrong)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def request(name="demo", rows=ROWS, *, binary=False):
    """A request in V2, whichever the transport."""
    tensor = InferInput("input", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return InferRequest(model_name=name, infer_inputs=[tensor])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
