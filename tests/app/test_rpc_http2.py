"""The gRPC server as HTTP/2: flow control, limits, and clients that break or bend the protocol."""

import asyncio
import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_app.rpc import inference_pb2 as pb
from tests.app.support import http2
from tests.app.support.http2 import Client, block, frame, message
from tests.app.support.processes import eventually
from tests.app.support.rpc import INFER, floats, running
from tests.app.support.server import InferenceServer

_LIVE = "/inference.GRPCInferenceService/ServerLive"
_INFO = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
_RAW = floats(range(3000)).SerializeToString()
_LIVE_ANSWER = message(b"\x08\x01")


async def test_a_call() -> None:
    async with running() as server, Client.connected(server.port) as client:
        client.request(1, _LIVE, b"")
        content, headers = await client.answer(1)
        assert content == _LIVE_ANSWER
        assert (headers[":status"], headers["content-type"]) == ("200", "application/grpc")
        assert headers["grpc-status"] == "0"


async def test_a_call_byte_by_byte() -> None:
    async with running() as server, Client.connected(server.port, greets=False) as client:
        client.send(http2.PREFACE, http2.settings())
        client.request(1, INFER, floats().SerializeToString())
        sent = http2.PREFACE + http2.settings() + frame(http2.HEADERS, http2.END_HEADERS, 1, block(INFER))
        assert (await client.answer(1))[1]["grpc-status"] == "0"
        sent += frame(http2.DATA, http2.END_STREAM, 1, message(floats().SerializeToString()))
        async with Client.connected(server.port, greets=False) as slow:
            for byte in sent:
                slow.send(bytes((byte,)))
                await slow.writer.drain()
                await asyncio.sleep(0)
            assert (await slow.answer(1))[1]["grpc-status"] == "0"


async def test_headers_in_pieces_with_padding_and_priority() -> None:
    async with running() as server, Client.connected(server.port) as client:
        headers = block(_LIVE)
        first = b"\x03" + b"\0\0\0\0\x10" + headers[:20] + b"\0\0\0"
        client.send(
            frame(http2.HEADERS, http2.PADDED | http2.PRIORITIZED, 1, first),
            frame(http2.CONTINUATION, 0, 1, headers[20:30]),
            frame(http2.CONTINUATION, http2.END_HEADERS, 1, headers[30:]),
            frame(http2.DATA, http2.END_STREAM | http2.PADDED, 1, b"\x02" + message(b"") + b"\0\0"),
        )
        assert (await client.answer(1))[0] == _LIVE_ANSWER


async def test_sends_no_more_than_both_windows() -> None:
    async with running() as server, Client.connected(server.port, (http2.INITIAL_WINDOW_SIZE, 0)) as client:
        client.request(1, INFER, _RAW)
        client.request(3, INFER, _RAW)
        size = len((await _answer_of(server.port, _RAW))[0])
        await client.until(http2.HEADERS, 3)
        assert await client.is_answered()  # nothing was sent, or it would have come before
        client.send(frame(http2.WINDOW_UPDATE, 0, 1, (10).to_bytes(4)))
        assert len((await client.until(http2.DATA, 1)).payload) == 10
        client.send(http2.settings((http2.INITIAL_WINDOW_SIZE, 5)))
        assert [len((await client.until(http2.DATA, stream)).payload) for stream in (1, 3)] == [5, 5]
        # A smaller window than was used: what was sent already counts against it.
        client.send(http2.settings((http2.INITIAL_WINDOW_SIZE, 0)), frame(http2.WINDOW_UPDATE, 0, 1, (5).to_bytes(4)))
        assert await client.is_answered()
        client.send(frame(http2.WINDOW_UPDATE, 0, 1, (3).to_bytes(4)))
        assert len((await client.until(http2.DATA, 1)).payload) == 3
        client.send(http2.settings((http2.INITIAL_WINDOW_SIZE, 1 << 20)))
        rest, headers = await client.answer(1)
        assert (len(rest), headers["grpc-status"]) == (size - 10 - 5 - 3, "0")


async def test_the_connections_window_is_shared() -> None:
    async with running() as server, Client.connected(server.port, (http2.INITIAL_WINDOW_SIZE, 1 << 20)) as client:
        for stream in range(1, 21, 2):
            client.request(stream, INFER, _RAW)
        got = dict.fromkeys(range(1, 21, 2), 0)
        open_calls = set(got)
        window = total = 65535
        while open_calls:
            found = await client.frame()
            if found.kind == http2.DATA:
                got[found.stream] += len(found.payload)
                window -= len(found.payload)
                assert window >= 0
            if found.ends:
                open_calls.discard(found.stream)
            if not window:
                window = 30_000
                total += window
                client.send(frame(http2.WINDOW_UPDATE, 0, 0, window.to_bytes(4)))
        assert len(set(got.values())) == 1
        assert sum(got.values()) == total - window


async def _answer_of(port: int, content: bytes) -> tuple[bytes, dict[str, str]]:
    async with Client.connected(port, (http2.INITIAL_WINDOW_SIZE, 1 << 20)) as client:
        client.request(1, INFER, content)
        return await client.answer(1)


async def test_frames_are_no_larger_than_the_client_takes() -> None:
    own = ((http2.INITIAL_WINDOW_SIZE, 1 << 20), (http2.MAX_FRAME_SIZE, 20_000))
    async with running() as server, Client.connected(server.port, *own) as client:
        client.send(frame(http2.WINDOW_UPDATE, 0, 0, (1 << 20).to_bytes(4)))
        client.request(1, INFER, floats(range(30_000)).SerializeToString())
        sizes: list[int] = []
        while not (found := await client.frame()).ends:
            sizes += [len(found.payload)] * (found.kind == http2.DATA)
        assert max(sizes) == 20_000
        assert sum(sizes) > 120_000


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(http2.WINDOW_UPDATE, 0, 0, (2**31 - 1).to_bytes(4)), http2.FLOW_CONTROL_ERROR),
        (http2.settings((http2.INITIAL_WINDOW_SIZE, 2**31)), http2.FLOW_CONTROL_ERROR),
        (frame(http2.WINDOW_UPDATE, 0, 0, bytes(4)), http2.PROTOCOL_ERROR),
        (frame(http2.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), http2.PROTOCOL_ERROR),
        (frame(http2.WINDOW_UPDATE, 0, 0, bytes(5)), http2.FRAME_SIZE_ERROR),
        (http2.settings((http2.MAX_FRAME_SIZE, 100)), http2.PROTOCOL_ERROR),
        (http2.settings((2, 2)), http2.PROTOCOL_ERROR),
        (frame(http2.SETTINGS, 0, 0, bytes(5)), http2.FRAME_SIZE_ERROR),
        (frame(http2.SETTINGS, http2.ACK, 0, bytes(6)), http2.FRAME_SIZE_ERROR),
        (frame(http2.SETTINGS, 0, 1), http2.PROTOCOL_ERROR),
        (frame(http2.PING, 0, 0, bytes(7)), http2.FRAME_SIZE_ERROR),
        (frame(http2.PING, 0, 1, bytes(8)), http2.PROTOCOL_ERROR),
        (frame(http2.GOAWAY, 0, 1, bytes(8)), http2.PROTOCOL_ERROR),
        (frame(http2.GOAWAY, 0, 0, bytes(7)), http2.FRAME_SIZE_ERROR),
        (frame(http2.PRIORITY, 0, 0, bytes(5)), http2.PROTOCOL_ERROR),
        (frame(http2.PRIORITY, 0, 1, bytes(4)), http2.FRAME_SIZE_ERROR),
        (frame(http2.RST_STREAM, 0, 1, bytes(4)), http2.PROTOCOL_ERROR),
        (frame(http2.RST_STREAM, 0, 1, bytes(3)), http2.FRAME_SIZE_ERROR),
        (frame(http2.PUSH_PROMISE, 0, 1, bytes(4)), http2.PROTOCOL_ERROR),
        (frame(http2.DATA, 0, 0, b"x"), http2.PROTOCOL_ERROR),
        (frame(http2.DATA, 0, 1, b"x"), http2.PROTOCOL_ERROR),
        (frame(http2.HEADERS, http2.END_HEADERS, 2, block(_LIVE)), http2.PROTOCOL_ERROR),
        (frame(http2.HEADERS, http2.END_HEADERS, 1, b"\xff\xff\xff"), http2.COMPRESSION_ERROR),
        (frame(http2.HEADERS, http2.END_HEADERS | http2.PADDED, 1, b"\x05abc"), http2.PROTOCOL_ERROR),
        (frame(http2.HEADERS, http2.END_HEADERS | http2.PRIORITIZED, 1, b"\0\0\0"), http2.FRAME_SIZE_ERROR),
        (frame(http2.HEADERS, http2.END_HEADERS | http2.PRIORITIZED, 1, b"\0\0\0\1\0"), http2.PROTOCOL_ERROR),
        (frame(http2.CONTINUATION, 0, 1), http2.PROTOCOL_ERROR),
        (frame(http2.HEADERS, 0, 1, b"") + frame(http2.PING, 0, 0, bytes(8)), http2.PROTOCOL_ERROR),
        (frame(http2.HEADERS, 0, 1, b"") + frame(http2.CONTINUATION, 0, 3, b"x"), http2.PROTOCOL_ERROR),
        (frame(http2.HEADERS, 0, 1, b"") + frame(http2.CONTINUATION, 0, 1), http2.ENHANCE_YOUR_CALM),
        (frame(http2.HEADERS, 0, 1, b"") + frame(http2.CONTINUATION, 0, 1, bytes(999)) * 17, http2.ENHANCE_YOUR_CALM),
        (frame(http2.HEADERS, http2.END_HEADERS, 1, block(_LIVE, ("x", "y" * 16_400))), http2.ENHANCE_YOUR_CALM),
        # A reference of one byte to a header of 4 kB, over and over.
        (
            frame(http2.HEADERS, http2.END_HEADERS, 1, b"\x40\x01x\x7f\x81\x1e" + b"y" * 4000 + b"\xbe" * 9000),
            http2.ENHANCE_YOUR_CALM,
        ),
        ((1 << 17).to_bytes(3) + bytes(6), http2.FRAME_SIZE_ERROR),
        (frame(http2.PING, 0, 0, bytes(8)) * 30_000, http2.ENHANCE_YOUR_CALM),
        (http2.settings((http2.INITIAL_WINDOW_SIZE, 1)) * 300, http2.ENHANCE_YOUR_CALM),
        (http2.settings() * 30_000, http2.ENHANCE_YOUR_CALM),
        (frame(http2.PRIORITY, 0, 1, bytes(5)) * 30_000, http2.ENHANCE_YOUR_CALM),
        (frame(200, 0, 0, b"") * 30_000, http2.ENHANCE_YOUR_CALM),
        (
            frame(http2.HEADERS, http2.END_HEADERS, 1, block(_LIVE)) + frame(http2.DATA, 0, 1) * 30_000,
            http2.ENHANCE_YOUR_CALM,
        ),
        (
            b"".join(
                frame(http2.HEADERS, http2.END_HEADERS, stream, block(_LIVE))
                + frame(http2.RST_STREAM, 0, stream, bytes(4))
                for stream in range(1, 50_001, 2)
            ),
            http2.ENHANCE_YOUR_CALM,
        ),
    ],
)
async def test_a_connection_that_breaks_the_protocol_ends(data: bytes, code: int) -> None:
    async with running() as server:
        async with Client.connected(server.port) as client:
            client.send(data)
            assert await client.end() == code
        assert (await _answer_of(server.port, _RAW))[1]["grpc-status"] == "0"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", http2.PREFACE + frame(http2.PING, 0, 0, bytes(8))])
async def test_other_protocols_end(data: bytes) -> None:
    async with running() as server, Client.connected(server.port, greets=False) as client:
        client.send(data)
        assert await client.end() == http2.PROTOCOL_ERROR


@pytest.mark.parametrize(("increment", "code"), [(0, http2.PROTOCOL_ERROR), (2**31 - 1, http2.FLOW_CONTROL_ERROR)])
async def test_a_wrong_window_of_a_call_ends_that_call(increment: int, code: int) -> None:
    async with running() as server, Client.connected(server.port) as client:
        server.model.held = True
        client.request(1, INFER, _RAW)
        client.send(frame(http2.WINDOW_UPDATE, 0, 1, increment.to_bytes(4)))
        assert (await client.until(http2.RST_STREAM, 1)).code == code
        assert server.model.cancelled == 1
        assert await client.is_answered()


@pytest.mark.parametrize(
    "more",
    [
        {"te": "gzip"},
        {":path": ""},
        {":scheme": ""},
        {"connection": "close"},
        {"Upper": "x"},
        {":other": "x"},
        {"x": "a\r\nb"},
    ],
)
async def test_malformed_headers_end_their_call(more: dict[str, str]) -> None:
    async with running() as server, Client.connected(server.port) as client:
        client.request(1, _LIVE, b"", more.items())
        assert (await client.until(http2.RST_STREAM, 1)).code == http2.PROTOCOL_ERROR
        client.request(3, _LIVE, b"")
        assert (await client.answer(3))[0] == _LIVE_ANSWER


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"content-type": "application/grpc-web"}, None),
        ({"content-type": "application/json"}, None),
        ({":method": "GET"}, None),
        ({"content-type": "application/grpc+proto"}, "0"),
        ({"content-type": "application/grpc;charset=utf-8"}, "0"),
        ({"grpc-encoding": "snappy"}, "12"),
        ({":path": "/inference.GRPCInferenceService/Other"}, "12"),
        ({"grpc-timeout": "123456789S"}, "0"),
        ({"grpc-timeout": "soon"}, "0"),
    ],
)
async def test_what_is_grpc(more: dict[str, str], status: str | None) -> None:
    async with running() as server, Client.connected(server.port) as client:
        client.request(1, _LIVE, b"", more.items())
        _, headers = await client.answer(1)
        assert headers[":status"] == ("415" if status is None else "200")
        assert headers.get("grpc-status") == status


async def test_the_clients_table_is_kept() -> None:
    """Blocks of references mean what the table says at that moment."""
    async with running() as server, Client.connected(server.port) as client:

        def into_table(path: str) -> bytes:
            named = b"\x44" + bytes((len(path),)) + path.encode()
            return b"\x83\x86" + named + b"\x5f\x10application/grpc\x40\x02te\x08trailers"

        def call(stream: int, headers: bytes) -> None:
            client.send(frame(http2.HEADERS, http2.END_HEADERS, stream, headers))
            client.send(frame(http2.DATA, http2.END_STREAM, stream, message(b"")))

        from_table = b"\x83\x86\xc0\xbf\xbe"  # the third newest entry is the path
        call(1, into_table(_LIVE))
        for stream in (1, 3, 5):
            if stream > 1:
                call(stream, from_table)
            assert (await client.answer(stream))[0] == _LIVE_ANSWER
        call(7, into_table("/another/one"))
        call(9, from_table)
        for stream in (7, 9):
            assert "no method /another/one here" in (await client.answer(stream))[1]["grpc-message"]


async def test_too_many_calls_at_once_are_refused() -> None:
    async with running() as server, Client.connected(server.port) as client:
        server.model.held = True
        content = floats().SerializeToString()
        for stream in range(1, 2 * 1024 + 3, 2):
            client.request(stream, INFER, content)
        refused = await client.until(http2.RST_STREAM, 2 * 1024 + 1)
        assert refused.code == http2.REFUSED_STREAM
        server.model.release()
        assert (await client.answer(2 * 1024 - 1))[1]["grpc-status"] == "0"


async def test_a_reset_takes_the_request_back() -> None:
    async with running() as server, Client.connected(server.port) as client:
        server.model.held = True
        client.request(1, INFER, _RAW)
        client.send(frame(http2.RST_STREAM, 0, 1, http2.CANCEL.to_bytes(4)))
        assert await client.is_answered()
        assert (server.model.cancelled, server.model.waiting) == (1, [])
        assert server.counted.answers == [("demo", "7", "CANCELLED")]
        assert server.limits.take(1 << 22)  # nothing is kept


async def test_a_lost_connection_takes_its_requests_back() -> None:
    async with running() as server:
        async with Client.connected(server.port) as client:
            server.model.held = True
            for stream in (1, 3):
                client.request(stream, INFER, _RAW)
            assert await client.is_answered()
        async with Client.connected(server.port) as other:
            while server.model.cancelled < 2:
                assert await other.is_answered()
        assert server.limits.take(1 << 22)


async def test_frames_of_an_ended_call_are_ignored() -> None:
    async with running() as server, Client.connected(server.port) as client:
        client.request(1, "/no/method")
        assert (await client.answer(1))[1]["grpc-status"] == "12"
        client.send(frame(http2.DATA, http2.END_STREAM, 1, _LIVE_ANSWER), frame(http2.RST_STREAM, 0, 1, bytes(4)))
        client.send(frame(http2.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))
        assert await client.is_answered()


async def test_data_after_the_end_breaks_the_protocol() -> None:
    async with running() as server, Client.connected(server.port) as client:
        server.model.held = True
        client.request(1, INFER, _RAW)
        client.send(frame(http2.DATA, 0, 1, b"x"))
        assert await client.end() == http2.STREAM_CLOSED


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", "3", "says 0 bytes, 0 came"),
        (message(b"")[:-1], "3", "says 0 bytes, 4 came"),
        (message(b"abc") + b"d", "3", "says 3 bytes, 9 came"),
        (b"\0\xff\xff\xff\xff", "8", "larger than 1048576 bytes"),
        (b"\1\0\0\0\0", "3", "compressed, and grpc-encoding does not say how"),
        (message(b"\xff"), "3", "not a ServerLiveRequest"),
    ],
)
async def test_messages_that_are_none(content: bytes, status: str, said: str) -> None:
    async with running() as server, Client.connected(server.port) as client:
        client.request(1, _LIVE)
        client.send(frame(http2.DATA, http2.END_STREAM, 1, content))
        _, headers = await client.answer(1)
        assert headers["grpc-status"] == status
        assert said in headers["grpc-message"]


async def test_a_message_that_is_too_large_is_refused_by_its_prefix() -> None:
    async with running() as server, Client.connected(server.port) as client:
        client.request(1, INFER)
        client.send(frame(http2.DATA, 0, 1, b"\0\x00\x10\x00\x01"))
        _, headers = await client.answer(1)
        assert headers["grpc-status"] == "8"
        assert (await client.until(http2.RST_STREAM, 1)).code == http2.NO_ERROR
        assert server.counted.answers == [("", "", "RESOURCE_EXHAUSTED")]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (gzip.compress(_RAW), "0"),
        (zlib.compress(_RAW), "0"),
        (gzip.compress(_RAW)[:-9], "3"),
        (gzip.compress(_RAW) + b"more", "3"),
        (_RAW, "3"),
        (gzip.compress(bytes(100 << 20)), "8"),
    ],
    ids=["gzip", "deflate", "cut", "more", "not", "bomb"],
)
async def test_compressed_messages(content: bytes, status: str) -> None:
    async with running() as server, Client.connected(server.port, (http2.INITIAL_WINDOW_SIZE, 1 << 20)) as client:
        client.request(1, INFER, more=[("grpc-encoding", "gzip")])
        sent = b"\1" + message(content)[1:]
        for at in range(0, len(sent), 1 << 14):
            client.send(frame(http2.DATA, 0, 1, sent[at : at + (1 << 14)]))
        client.send(frame(http2.DATA, http2.END_STREAM, 1))
        assert (await client.answer(1))[1]["grpc-status"] == status
        assert server.limits.take(1 << 22)


async def test_memory_for_incomplete_messages_is_shared_and_given_back() -> None:
    async with running(together=100_000) as server, Client.connected(server.port) as client:
        half = message(bytes(60_000))[:50_000]
        for stream in (1, 3, 5):
            client.request(stream, INFER)
            client.send(frame(http2.DATA, 0, stream, half))
        _, headers = await client.answer(5)
        assert (headers["grpc-status"], headers["grpc-message"]) == ("8", "too many requests are being received")
        client.send(frame(http2.RST_STREAM, 0, 1, bytes(4)))
        client.request(7, INFER, floats().SerializeToString())
        assert (await client.answer(7))[1]["grpc-status"] == "0"


async def test_a_client_that_reads_nothing_keeps_little() -> None:
    """What waits for its window counts like what is received."""
    own = (http2.INITIAL_WINDOW_SIZE, 0)
    async with running(together=45_000) as server, Client.connected(server.port, own) as client:
        client.request(1, INFER, _RAW)
        client.request(3, INFER, _RAW)
        assert (await client.until(http2.RST_STREAM, 3)).code == http2.ENHANCE_YOUR_CALM
        assert await client.is_answered()


async def test_who_is_too_slow_is_given_up() -> None:
    async with running(seconds=0.2) as server:
        async with Client.connected(server.port) as client:
            client.request(1, INFER)
            client.send(frame(http2.DATA, 0, 1, message(_RAW)[:100]))
            _, headers = await client.answer(1)
            assert (headers["grpc-status"], headers["grpc-message"]) == ("4", "message: not complete within 0.2 s")
        async with Client.connected(server.port, (http2.INITIAL_WINDOW_SIZE, 0)) as client:
            client.request(1, INFER, _RAW)
            assert (await client.until(http2.RST_STREAM, 1)).code == http2.ENHANCE_YOUR_CALM
        async with Client.connected(server.port, greets=False) as client:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await client.until(http2.GOAWAY)


async def test_requests_of_a_stream_wait_for_the_client_to_take_answers() -> None:
    async with running() as server, Client.connected(server.port, (http2.INITIAL_WINDOW_SIZE, 0)) as client:
        request = b"\x3a\x00"  # list_services
        client.request(1, _INFO)
        client.send(frame(http2.DATA, http2.END_STREAM, 1, message(request) * 2000))
        await client.until(http2.HEADERS, 1)
        assert await client.is_answered()
        assert server.limits.take((1 << 22) - 60_000)  # one answer is kept, not 2000
        server.limits.give_back((1 << 22) - 60_000)
        client.send(http2.settings((http2.INITIAL_WINDOW_SIZE, 1 << 20)))
        client.send(frame(http2.WINDOW_UPDATE, 0, 0, (1 << 24).to_bytes(4)))
        content, headers = await client.answer(1)
        assert headers["grpc-status"] == "0"
        answers = 0
        while content:
            content = content[5 + int.from_bytes(content[1:5]) :]
            answers += 1
        assert answers == 2000


async def test_a_stream_that_ends_within_a_message_fails() -> None:
    async with running() as server, Client.connected(server.port) as client:
        client.request(1, _INFO)
        client.send(frame(http2.DATA, 0, 1, message(b"\x3a\x00")))
        assert len((await client.until(http2.WINDOW_UPDATE, 1)).payload) == 4
        client.send(frame(http2.DATA, http2.END_STREAM, 1, b"\0\0"))
        assert (await client.answer(1))[1]["grpc-status"] == "3"


async def test_draining_finishes_what_has_begun() -> None:
    async with running() as server, Client.connected(server.port) as client:
        server.model.held = True
        client.request(1, INFER, _RAW)
        assert await client.is_answered()
        server.server.drain(20)
        first = await client.until(http2.GOAWAY)
        assert (first.code, first.payload[:4]) == (http2.NO_ERROR, (2**31 - 1).to_bytes(4))
        client.request(3, INFER, floats().SerializeToString())  # had been on its way
        while len(server.model.waiting) < 2:
            assert await client.is_answered()
        server.model.release()
        assert (await client.answer(1))[1]["grpc-status"] == "0"
        assert (await client.answer(3))[1]["grpc-status"] == "0"
        assert await client.end() == http2.NO_ERROR
        await server.server.stop()


async def test_draining_ends() -> None:
    async with running() as server, Client.connected(server.port) as client:
        server.model.held = True
        client.request(1, INFER, _RAW)
        assert await client.is_answered()
        server.server.drain(0.05)
        await server.server.stop()
        assert server.model.cancelled == 1


_kinds = st.integers(0, 9) | st.integers(0, 255)
_streams = st.sampled_from([0, 1, 3, 5, 2, 2**31 - 1])
_payloads = st.binary(max_size=40) | st.sampled_from(
    [block(INFER), block(_LIVE), block(_INFO), message(b""), message(floats().SerializeToString()), bytes(4), bytes(8)]
)
_frames = st.builds(frame, _kinds, st.integers(0, 255), _streams, _payloads)
_sane_headers = st.builds(
    frame, st.just(http2.HEADERS), st.sampled_from([4, 5]), _streams, st.sampled_from([block(INFER), block(_INFO)])
)
_sane_data = st.builds(frame, st.just(http2.DATA), st.sampled_from([0, 1]), _streams, _payloads)


@pytest.fixture(scope="module")
def frames_taker(shared_server: InferenceServer) -> InferenceServer:
    return shared_server


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(_sane_headers | _sane_data | _frames | st.binary(max_size=30), max_size=12))
def test_no_bytes_are_too_much(frames_taker: InferenceServer, pieces: list[bytes]) -> None:
    asyncio.run(_feed(frames_taker, b"".join(pieces)))


async def _feed(server: InferenceServer, data: bytes) -> None:
    async with Client.connected(server.grpc_port) as client:
        client.send(data)
        client.writer.write_eof()
        async with asyncio.timeout(10):
            while await client.read():
                pass
    async with Client.connected(server.grpc_port) as client:
        client.request(1, _LIVE, b"")
        assert (await client.answer(1))[0] == _LIVE_ANSWER


def test_nothing_of_that_was_our_fault(frames_taker: InferenceServer) -> None:
    eventually(lambda: frames_taker.http.get("/metrics").status_code == 200, "the server to answer")
    assert frames_taker.log_lines(level="error") == []
    assert pb.ServerLiveResponse.FromString(_LIVE_ANSWER[5:]).live
