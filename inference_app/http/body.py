"""Request bodies on the ASGI way, bounded in size, time and memory."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.requests import Request

from inference_app.errors import OverloadedError, SlowSenderError, TooLargeError
from inference_app.limits import BodyLimits


@asynccontextmanager
async def whole_body(request: Request, limits: BodyLimits) -> AsyncGenerator[bytes]:
    """The whole body; its memory counts until the context ends.

    Args:
        request: The request.
        limits: Reading stops where they are passed, whatever the headers said.

    Raises:
        TooLargeError: the body is too large.
        SlowSenderError: it takes too long.
        OverloadedError: together with the others it takes too much memory.
        ClientDisconnect: the client went away.
    """
    if int(request.headers.get("content-length", "0")) > limits.body:
        raise _too_large(limits)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                if size + len(chunk) > limits.body:
                    raise _too_large(limits)
                if not limits.take(len(chunk)):
                    raise OverloadedError("too many requests are being received")
                size += len(chunk)
                chunks.append(chunk)
        yield b"".join(chunks)
    except TimeoutError:
        raise SlowSenderError(f"body: not complete within {limits.seconds:g} s") from None
    finally:
        limits.give_back(size)


def _too_large(limits: BodyLimits) -> TooLargeError:
    return TooLargeError(f"body: larger than {limits.body} bytes")
