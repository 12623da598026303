"""`python -m inference_app`: run the server until SIGTERM."""

import gc
import signal
import socket
import sys
import time
from types import FrameType

import uvicorn

from inference_app.app import DRAIN_SECONDS, App, create_app
from inference_app.logs import configure_logs
from inference_app.model import Models
from inference_app.registry import BrokenImageError
from inference_app.settings import SettingsError, load_settings

# For clients that keep connections to be told of it by an answer, and for probes to see it, before anything is closed.
_NOTICE_SECONDS = 1
# Longer than the idle time of usual clients and load balancers (60 s): who closes first must not be the server, or a
# request that is on its way meets a closed connection.
_KEEP_ALIVE_SECONDS = 75
_GC_THRESHOLD = 10_000  # requests leave no cycles behind, so looking for some after every 700 objects finds nothing


class _Server(uvicorn.Server):
    """Told to stop, it reports not ready and sends clients elsewhere; then it closes once what is in flight is done."""

    def __init__(self, config: uvicorn.Config, models: Models, app: App) -> None:
        super().__init__(config)
        self._models = models
        self._app = app
        self._closes_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._models.drain()
            self._closes_at = time.monotonic() + _NOTICE_SECONDS
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain gRPC while HTTP drains."""
        self._app.drain()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        should_exit = await super().on_tick(counter)
        return should_exit and (self.force_exit or time.monotonic() >= self._closes_at)


def main() -> int:
    """Run the server; returns the process's exit code: 2 where the settings are wrong, 1 where the image is."""
    configure_logs()
    try:
        settings = load_settings()
        models = Models([model.name for model in settings.served_models])
        app = create_app(settings, models)
    except SettingsError as error:
        return _fail(2, str(error))
    except OSError as error:
        takes = "a writable folder"
        return _fail(2, f"INFERENCE_CACHE_DIR got {str(error.filename)!r}; it takes {takes}: {error.strerror}")
    except BrokenImageError as error:
        return _fail(1, str(error))
    except ValueError as error:
        return _fail(2, f"INFERENCE_EXECUTION_PROVIDERS: {error}")
    config = uvicorn.Config(
        app.asgi,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=app.connection,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    # uvicorn raises the signal again once it is done: a stop that was asked for is a success.
    signal.signal(signal.SIGTERM, _succeed)
    # What is here now stays: the collector need not look at it again, which it would in the middle of requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    _Server(config, models, app).run()
    return 0


def _fail(status: int, message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return status


def _succeed(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
