"""The limit of the runtime: `loop.py MODEL INPUT ROWS SECONDS` runs a model again and again in a process of its own.

The last line of the output is JSON: runs, seconds, and CPU seconds.
"""
# onnxruntime ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import sys
import time

import numpy as np
import onnxruntime


def main(file: str, input_name: str, rows_file: str, seconds: str) -> None:
    """A second to warm up in, then the measurement."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    inputs = {input_name: np.load(rows_file)}
    names = [output.name for output in session.get_outputs()]
    for duration in (float(seconds) / 4, float(seconds)):
        runs, began, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < duration:
            session.run(names, inputs)
            runs += 1
        took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    print(json.dumps({"runs": runs, **took}))


if __name__ == "__main__":
    main(*sys.argv[1:])
