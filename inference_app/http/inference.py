"""Inference over HTTP: read a body, run it through a codec and the served model in a worker thread, answer."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from inference_app.http.body import read_body
from inference_app.http.errors import CLIENT_CLOSED_REQUEST, error_response
from inference_app.metrics import Metrics
from inference_app.model import ModelSlot, ServedModel
from inference_app.protocols import Codec, InvalidRequestError


@dataclass(frozen=True, slots=True)
class Inference:
    """What the inference routes work with.

    Attributes:
        name: The model's name, as clients write it.
        slot: Which model is served.
        workers: Where requests are decoded, run and encoded, so that a large one doesn't hold up the event loop.
        metrics: Where requests are counted.
        max_body_bytes: The largest body that is taken.
        retry_after: Seconds after which to try again while no model is served.
    """

    name: str
    slot: ModelSlot
    workers: ThreadPoolExecutor
    metrics: Metrics
    max_body_bytes: int
    retry_after: int

    async def answer(self, request: Request, codec: Codec, name: str | None = None) -> Response:
        """Answer one inference request, and count it whatever comes of it.

        Args:
            request: The request, body unread.
            codec: The protocol it is in.
            name: The model that it names; None where the protocol names none.
        """
        served = self.slot.current
        request.state.served = served
        status = 500
        try:
            response = await self._answer(request, codec, name, served)
            status = response.status_code
        except HTTPException as error:
            status = error.status_code
            raise
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
            raise
        finally:
            self.metrics.answered(served.name if served else "", served.version if served else "", status)
        return response

    async def _answer(self, request: Request, codec: Codec, name: str | None, served: ServedModel | None) -> Response:
        if name is not None:
            self.require_known(name)
        if served is None:
            return self.unavailable()
        body = await read_body(request, self.max_body_bytes)
        started = time.perf_counter()
        headers = {"x-model-name": served.name, "x-model-version": served.version}
        try:
            content = await asyncio.get_running_loop().run_in_executor(self.workers, _infer, codec, served, body)
        except InvalidRequestError as error:
            return error_response(400, str(error), headers)
        self.metrics.inferred(served.name, served.version, time.perf_counter() - started)
        return Response(content, media_type="application/json", headers=headers)

    def require_known(self, name: str) -> None:
        """Refuse names that nothing here is served under.

        Raises:
            HTTPException: 404, naming what is served.
        """
        if name != self.name:
            raise HTTPException(404, f"no model {name[:128]!r} here; this server has {self.name!r}")

    def unavailable(self) -> Response:
        """503 with the reason and when to come again."""
        reason = self.slot.not_ready_because or "no model is loaded yet"
        return error_response(503, f"not ready: {reason}", {"retry-after": str(self.retry_after)})


def _infer(codec: Codec, served: ServedModel, body: bytes) -> bytes:
    return codec.encode(served.model.run(codec.decode(body, served.model.signature)), served.version)
