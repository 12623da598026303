"""A body on its way here: bounded in time and size, and given up when asked to."""

import time
from collections.abc import Callable, Generator

import httpx

from inference_app.registry.target import SourceUnavailableError

# Whoever proxies a store may fetch the whole file from it before it sends the first byte.
DOWNLOAD_TIMEOUT = httpx.Timeout(10, connect=3, read=300)  # seconds for each step
_DOWNLOAD_SECONDS = 900


def chunks(response: httpx.Response, is_cancelled: Callable[[], bool]) -> Generator[bytes]:
    """The raw body of a streamed response, piece by piece.

    Raises:
        SourceUnavailableError: the transfer took longer than 15 minutes or was cancelled.
        httpx.HTTPError: it failed.
    """
    deadline = time.monotonic() + _DOWNLOAD_SECONDS
    for chunk in response.iter_raw():
        if is_cancelled():
            raise SourceUnavailableError("the download was cancelled")
        if time.monotonic() > deadline:
            raise SourceUnavailableError(f"the download took longer than {_DOWNLOAD_SECONDS} s")
        yield chunk


def brief(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]
