"""Request bodies, bounded in size and time."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request

_SECONDS = 60  # for a whole body; a sender slower than this holds a connection for nothing


async def read_body(request: Request, limit: int) -> bytes:
    """Read the whole body.

    Args:
        request: The request.
        limit: The largest body that is taken, in bytes; reading stops where it is passed, whatever the headers said.

    Raises:
        HTTPException: 413 if the body is too large, 408 if it takes too long.
        ClientDisconnect: the client went away.
    """
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        raise HTTPException(408, f"body: not complete within {_SECONDS} s", {"connection": "close"}) from None
    return b"".join(chunks)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"body: larger than {limit} bytes", {"connection": "close"})
