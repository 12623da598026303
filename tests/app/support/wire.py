"""HTTP as bytes: what a client library would put right, or never send."""

import socket
from dataclasses import dataclass
from typing import Self

Address = tuple[str, int]


@dataclass(frozen=True)
class Answer:
    """A response; header names and values as they came, sorted."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


class Wire:
    """A connection."""

    def __init__(self, address: Address, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """The next response; ConnectionError if the connection ends before it does."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head.split("\r\n")
        status = int(status_line.split(" ")[1])
        headers = sorted((name, value) for name, _, value in (line.partition(": ") for line in lines))
        size = int(dict(headers).get("content-length", "0"))
        while len(self._received) < size:
            self._more()
        body, self._received = self._received[:size], self._received[size:]
        return Answer(status, tuple(headers), body)

    def is_closed(self) -> bool:
        """Whether the server closes the connection now; nothing may come instead."""
        try:
            data = self.socket.recv(1)
        except ConnectionResetError:
            return True
        assert not data, data
        return True

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._more()
        head, _, self._received = self._received.partition(end)
        return head

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError(f"closed after {self._received!r}")
        self._received += data


def post(path: str, body: bytes, *headers: str, version: str = "1.1", length: bool = True) -> bytes:
    """A request with a body."""
    lines = [f"POST {path} HTTP/{version}", "host: x", *headers]
    if length:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def chunked(path: str, *pieces: bytes, trailer: str = "") -> bytes:
    """A request whose body comes in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return post(path, body + f"0\r\n{trailer}\r\n".encode(), "transfer-encoding: chunked", length=False)
