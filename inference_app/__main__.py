"""`python -m inference_app`: run the server until SIGTERM."""

import signal
import sys
from types import FrameType

import uvicorn

from inference_app.app import create_app
from inference_app.logs import configure_logs
from inference_app.model import ModelSlot
from inference_app.settings import SettingsError, load_settings

_DRAIN_SECONDS = 25  # under the 30 s that Kubernetes grants by default
# Longer than the idle time of usual clients and load balancers (60 s): who closes first must not be the server, or a
# request that is on its way meets a closed connection.
_KEEP_ALIVE_SECONDS = 75


class _Server(uvicorn.Server):
    """Reports not ready from the moment it is told to stop, while it finishes what is in flight."""

    def __init__(self, config: uvicorn.Config, slot: ModelSlot) -> None:
        super().__init__(config)
        self._slot = slot

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._slot.drain()
        super().handle_exit(sig, frame)


def main() -> int:
    """Run the server; returns the process's exit code: 2 where the settings are wrong."""
    try:
        settings = load_settings()
        slot = ModelSlot()
        app = create_app(settings, slot)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(
            f"INFERENCE_CACHE_DIR got {str(error.filename)!r}; it takes a writable folder: {error.strerror}\n"
        )
        return 2
    configure_logs()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    # uvicorn raises the signal again once it is done: a stop that was asked for is a success.
    signal.signal(signal.SIGTERM, _succeed)
    _Server(config, slot).run()
    return 0


def _succeed(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
