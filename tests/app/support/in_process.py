"""The whole server in a thread of this process, as `python -m inference_app` composes it, with a model that obeys."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn
import uvloop

from inference_app.app import create_app
from inference_app.http.connection import Connection
from inference_app.model import Models, ServedModel
from inference_app.settings import ModelSettings, Settings
from tests.app.support.processes import eventually
from tests.app.support.served import EchoModel
from tests.app.support.wire import Address

_Value = TypeVar("_Value")


class InProcess:
    """Serves `demo`, version 7.

    Args:
        folder: A folder of its own.
        model: What answers; obeyed by `call` only.
        hot: Whether inference takes the hot path; else everything goes through uvicorn and FastAPI.
        settings: As `Settings` has them.
    """

    def __init__(self, folder: Path, model: EchoModel, *, hot: bool = True, **settings: Any) -> None:
        self.model = model
        self.models = Models(["demo"])
        wanted = ModelSettings(name="demo", source=f"file://{folder}/nothing")
        app = create_app(
            Settings(models=(wanted,), cache_dir=folder / "cache", host="127.0.0.1", port=0, grpc_port=0, **settings),
            self.models,
        )
        slot = self.models.slot("demo")
        assert slot is not None
        slot.switch(ServedModel("demo", "7", model))
        lane: Any = app.connection
        usual = type("Usual", (Connection,), {each: getattr(lane, each) for each in ("limits", "access", "models")})
        self.limits: Any = lane.limits
        self.server = uvicorn.Server(
            uvicorn.Config(
                app.asgi,
                host="127.0.0.1",
                port=0,
                http=lane if hot else usual,
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=5,
                timeout_keep_alive=60,
            )
        )
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self.server.started, "the server to start")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    @property
    def address(self) -> Address:
        return self.server.servers[0].sockets[0].getsockname()

    @property
    def connections(self) -> list[Any]:
        return self.call(lambda: list(self.server.server_state.connections))

    def call(self, function: Callable[[], _Value]) -> _Value:
        """Call something in the server's own thread."""
        done: Future[_Value] = Future()

        async def run() -> None:
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)

        asyncio.run_coroutine_threadsafe(run(), self._loop)
        return done.result(10)

    def hold(self) -> None:
        """From now on requests wait."""
        self.call(lambda: setattr(self.model, "held", True))

    def release(self) -> None:
        """Answer who waits, and from now on everybody at once."""

        def go() -> None:
            self.model.held = False
            self.model.release()

        self.call(go)

    def waiting(self) -> int:
        return self.call(lambda: len(self.model.waiting))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.server.serve())
        self._loop.close()
