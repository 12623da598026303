"""Messages as gRPC frames them: five bytes before each say whether it is compressed, and its size.

Source: gRPC, "gRPC over HTTP2", "Length-Prefixed-Message".
"""

import zlib
from typing import Final

from inference_app.errors import InvalidRequestError, TooLargeError

PREFIX_SIZE: Final = 5
_ANY_FORMAT: Final = 32 + zlib.MAX_WBITS  # zlib finds out itself whether it is gzip or deflate


def prefixed(message: bytes) -> bytes:
    """A message as it is sent, not compressed."""
    return b"%b%b%b" % (b"\0", len(message).to_bytes(4), message)


def unprefixed(content: memoryview, limit: int, *, compressed: bool) -> bytes:
    """The one message in these bytes.

    Args:
        content: A message with its prefix.
        limit: The largest message to take, in bytes.
        compressed: Whether the client may compress.

    Raises:
        InvalidRequestError: there is no message, more than one, or it is compressed in an unknown way.
        TooLargeError: it is larger than the limit.
    """
    size = int.from_bytes(content[1:PREFIX_SIZE])
    if size > limit:
        raise TooLargeError(f"message: larger than {limit} bytes")
    if len(content) != size + PREFIX_SIZE:
        raise InvalidRequestError(f"message: says {size} bytes, {len(content)} came with its prefix of {PREFIX_SIZE}")
    message = bytes(content[PREFIX_SIZE:])
    if content[0] == 0:
        return message
    if content[0] != 1 or not compressed:
        raise InvalidRequestError("message: compressed, and grpc-encoding does not say how")
    return _decompressed(message, limit)


def _decompressed(message: bytes, limit: int) -> bytes:
    decompressor = zlib.decompressobj(_ANY_FORMAT)
    try:
        content = decompressor.decompress(message, limit + 1)
    except zlib.error:
        raise InvalidRequestError("message: not compressed as grpc-encoding says") from None
    if len(content) > limit:
        raise TooLargeError(f"message: larger than {limit} bytes when decompressed")
    if not decompressor.eof or decompressor.unused_data:
        raise InvalidRequestError("message: its compressed content ends too early or too late")
    return content
