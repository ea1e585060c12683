"""The proxy forwards what it gets, and misbehaves when it is told to."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from pv_stream.stream.kafka_dev.broker import free_port
from tests.chaos.proxy import END_TXN, EndTxnResponse, FrameHeads, Proxy, Weather

PRODUCE = 0
#: So long is waited for what must come.
PATIENCE_SECONDS = 60.0


def request(api_key: int, correlation_id: int, body: bytes = b"body") -> bytes:
    """Return a frame as a client sends it."""
    head = struct.pack(">hhi", api_key, 3, correlation_id)
    return struct.pack(">i", len(head) + len(body)) + head + body


def response(correlation_id: int, body: bytes = b"done") -> bytes:
    """Return a frame as a broker sends it."""
    return struct.pack(">ii", 4 + len(body), correlation_id) + body


class Broker:
    """Answer each request of fixed size with the response of its correlation id."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        size = len(request(0, 0))
        with connection:
            try:
                while frame := connection.recv(size, socket.MSG_WAITALL):
                    connection.sendall(response(struct.unpack_from(">i", frame, 8)[0]))
            except OSError:
                return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    broker = Broker()
    made = Proxy(listen_port=free_port(), broker_port=broker.port, random=Random(1))
    made.start()
    yield made
    made.stop()
    broker.listener.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.listen_port)) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        yield connection


def ask(client: socket.socket, api_key: int, correlation_id: int) -> float:
    """Send a request and return how long its response took."""
    began = time.monotonic()
    client.sendall(request(api_key, correlation_id))
    wanted, got = response(correlation_id), b""
    while len(got) < len(wanted):  # a socket with a timeout does not wait for all of it
        part = client.recv(len(wanted) - len(got))
        assert part, "the connection was closed"
        got += part
    assert got == wanted
    return time.monotonic() - began


@pytest.mark.parametrize("weather", [Weather(), Weather(is_slicing=True), Weather(delay_seconds=0.01)])
def test_every_byte_arrives_in_order(proxy: Proxy, client: socket.socket, weather: Weather) -> None:
    proxy.turn(weather)
    for number in range(20):
        ask(client, PRODUCE, number)


def test_a_blackhole_holds_back_until_it_is_cleared(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Weather(is_blackhole=True))
    client.sendall(request(PRODUCE, 7))
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(PATIENCE_SECONDS)
    proxy.clear()
    assert client.recv(100) == response(7)


def test_a_reset_cuts_every_connection(proxy: Proxy, client: socket.socket) -> None:
    ask(client, PRODUCE, 1)
    assert proxy.reset_all() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_only_the_response_of_a_commit_is_delayed(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Weather(end_txn=EndTxnResponse.DELAYED, end_txn_delay_seconds=0.3))
    ask(client, PRODUCE, 1)
    assert proxy.end_txns_touched == 0
    assert ask(client, END_TXN, 2) >= 0.3
    assert proxy.end_txns_touched == 1


def test_the_response_of_a_commit_can_be_lost(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Weather(end_txn=EndTxnResponse.LOST))
    ask(client, PRODUCE, 1)
    client.sendall(request(END_TXN, 2))
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.end_txns_touched == 1


def test_heads_are_found_however_the_bytes_are_cut() -> None:
    stream = request(END_TXN, 5, b"x" * 300) + request(PRODUCE, 6, b"") + request(END_TXN, 7)
    for size in (1, 3, 11, 12, 400):
        heads = FrameHeads(struct.Struct(">ihhi"))
        seen = [
            (key, number)
            for at in range(0, len(stream), size)
            for _, key, _, number in heads.feed(stream[at : at + size])
        ]
        assert seen == [(END_TXN, 5), (PRODUCE, 6), (END_TXN, 7)]
