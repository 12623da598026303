"""`python -m inference_app.pyfunc.worker SOCKET PARENT FOLDER`: the worker process of one model version.

Runs in the interpreter that has MLflow and the model's libraries. It imports nothing of the server but its words and
this package, which need numpy alone.
"""

import signal
import socket
import sys
from pathlib import Path

from inference_app.pyfunc.kernel import confine
from inference_app.pyfunc.wire import (
    Channel,
    Kind,
    WireError,
    signature_to_wire,
    tensors_from_wire,
    tensors_to_wire,
)

_LONGEST_REASON = 2000


def main() -> int:
    """Serve runs until the server hangs up."""
    descriptor, parent, folder = sys.argv[1:]
    confine(int(parent))
    # Who stops all processes of a service means the server, which drains first and then hangs up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: None)
    channel = Channel(socket.socket(fileno=int(descriptor)))
    try:
        # Here, so that what the environment lacks is said in the same way as what is wrong with the model.
        from inference_app.pyfunc.flavour import Flavour  # noqa: PLC0415

        flavour = Flavour(Path(folder))
    except Exception as error:  # whatever it is, the server is to know
        channel.send(Kind.FAILED, [_reason(error)])
        return 1
    channel.send(Kind.READY, signature_to_wire(flavour.signature))
    try:
        while True:
            _, body = channel.receive()
            try:
                answer, content = Kind.OUTPUTS, tensors_to_wire(flavour.run(tensors_from_wire(body)))
            except MemoryError as error:
                answer, content = Kind.EXHAUSTED, [_reason(error)]
            except Exception as error:  # a model may raise anything
                answer, content = Kind.FAILED, [_reason(error)]
            channel.send(answer, content)
    except WireError:
        return 0


def _reason(error: BaseException) -> bytes:
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON].encode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
