# SPDX-License-Identifier: GPL-3.0-or-later
"""``Client`` with real loopback connections."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from draggan_blender.connection import client as client_module
from draggan_blender.connection import events as ev
from draggan_blender.connection.client import Client, ClientEvent
from draggan_blender.protocol import (
    PROTOCOL_VERSION,
    Decoder,
    LocalProtocolError,
    drag_messages,
    encode,
)
from draggan_blender.protocol import messages as m


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


@pytest.fixture
def connect(client: Client) -> Iterator[Callable[[], socket.socket]]:
    """Return a function that opens connections to the client; they are closed after the test."""
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", client.port), timeout=5))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def hello(client: Client, **changes: object) -> bytes:
    values = {"protocol_version": PROTOCOL_VERSION, "token": client.token, "pid": 7, **changes}
    return encode(m.Hello(**values))  # type: ignore[arg-type]


def poll_until(client: Client, count: int, timeout_s: float = 5.0) -> list[ClientEvent]:
    """Poll until there are ``count`` events, for at most ``timeout_s`` seconds."""
    events: list[ClientEvent] = []
    deadline_s = time.monotonic() + timeout_s
    while len(events) < count and time.monotonic() < deadline_s:
        events += client.poll(0.004)
        time.sleep(0.001)
    return events


def poll_quietly(client: Client, seconds: float = 0.05) -> list[ClientEvent]:
    return poll_until(client, 1, seconds)


@pytest.fixture
def engine(client: Client, connect: Callable[[], socket.socket]) -> socket.socket:
    """Return the engine's end of a proven connection, after the welcome."""
    connection = connect()
    connection.sendall(hello(client))
    assert poll_until(client, 1) == [ev.PeerProven(7)]
    assert read_messages(connection, 1) == [m.Welcome(protocol_version=PROTOCOL_VERSION)]
    return connection


def read_messages(connection: socket.socket, count: int) -> list[m.Message]:
    decoder = Decoder(trusted=True)
    found: list[m.Message] = []
    while len(found) < count:
        data = connection.recv(65536)
        assert data, "the client closed the connection"
        found += decoder.feed(data)
    return found


def closed_by_peer(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def received(*messages: m.Message) -> list[ev.MessageReceived]:
    return [ev.MessageReceived(message) for message in messages]


def preview(step: int, *, drag_id: int = 1, size_px: int = 2) -> drag_messages.Preview:
    pixels = bytes([step % 256]) * (size_px * size_px * 16)
    return drag_messages.Preview(
        request_id=drag_id,
        drag_id=drag_id,
        step=step,
        width=size_px,
        height=size_px,
        pixels=pixels,
    )


# ---------------------------------------------------------------- which peers are accepted


def test_it_listens_on_loopback_only_with_its_own_token(client: Client) -> None:
    other = Client()
    try:
        assert client.port != other.port
        assert client.token != other.token
        assert len(bytes.fromhex(client.token)) == 32
        assert client._listener is not None
        assert client._listener.getsockname()[0] == "127.0.0.1"
    finally:
        other.close()


@pytest.mark.parametrize(
    "first_words",
    [
        pytest.param(lambda client: hello(client, token="0" * 64), id="wrong token"),
        pytest.param(lambda client: hello(client, token=""), id="empty token"),
        pytest.param(lambda client: hello(client, token=client.token + "0"), id="longer token"),
        pytest.param(lambda client: hello(client, token="ü\ud800"), id="odd token"),
        pytest.param(lambda client: encode(m.Shutdown()), id="no hello"),
        pytest.param(lambda client: random.Random(1).randbytes(4096), id="noise"),
        pytest.param(lambda client: struct.pack(">II", 2**31, 2**31), id="huge frame"),
        pytest.param(lambda client: b"GET / HTTP/1.1\r\n\r\n", id="browser"),
    ],
)
def test_a_stranger_is_dropped_and_the_engine_can_still_connect(
    client: Client,
    connect: Callable[[], socket.socket],
    first_words: Callable[[Client], bytes],
) -> None:
    stranger = connect()
    stranger.sendall(first_words(client))
    assert poll_quietly(client) == []
    assert closed_by_peer(stranger)
    connect().sendall(hello(client))
    assert poll_until(client, 1) == [ev.PeerProven(7)]


def test_strangers_that_send_nothing_do_not_keep_the_engine_out(
    client: Client, connect: Callable[[], socket.socket]
) -> None:
    for _ in range(3):
        for _ in range(7):
            connect()
        assert poll_quietly(client) == []
    connect().sendall(hello(client))
    assert poll_until(client, 1) == [ev.PeerProven(7)]


def test_nobody_can_connect_after_the_engine(
    client: Client, engine: socket.socket, connect: Callable[[], socket.socket]
) -> None:
    with pytest.raises(OSError, match="refused"):
        connect()
    engine.sendall(encode(m.Done(request_id=1)))
    assert poll_until(client, 1) == received(m.Done(request_id=1))


def test_a_hello_may_arrive_in_pieces_and_with_more_after_it(
    client: Client, connect: Callable[[], socket.socket]
) -> None:
    connection = connect()
    ready = m.Ready(device="cpu", device_name="x" * 2000, torch_version="2")
    data = hello(client) + encode(ready)
    connection.sendall(data[:50])
    assert poll_quietly(client) == []
    connection.sendall(data[50:])
    assert poll_until(client, 2) == [ev.PeerProven(7), *received(ready)]


def test_another_version_is_refused_with_what_to_do(
    client: Client, connect: Callable[[], socket.socket]
) -> None:
    connection = connect()
    connection.sendall(hello(client, protocol_version=PROTOCOL_VERSION + 1))
    (refused,) = poll_until(client, 1)
    assert isinstance(refused, ev.PeerRefused)
    assert f"version {PROTOCOL_VERSION + 1}" in refused.message
    assert "same release" in refused.message
    assert closed_by_peer(connection)


# ---------------------------------------------------------------- messages from the engine


def test_messages_arrive_in_order(client: Client, engine: socket.socket) -> None:
    messages = [m.FrameWritten(request_id=1, number=n, path="p") for n in range(10)]
    engine.sendall(b"".join(map(encode, messages)))
    assert poll_until(client, 10) == received(*messages)


def test_of_previews_that_arrive_together_the_last_of_each_drag_stays(
    client: Client, engine: socket.socket
) -> None:
    done = m.Done(request_id=1)
    sent = [preview(1), preview(1, drag_id=2), preview(2), done, preview(2, drag_id=2)]
    engine.sendall(b"".join(map(encode, sent)))
    time.sleep(0.05)
    assert client.poll(1.0) == received(preview(2), done, preview(2, drag_id=2))


def test_of_steps_that_arrive_together_the_last_of_each_request_stays(
    client: Client, engine: socket.socket
) -> None:
    def step(number: int, request_id: int = 1) -> drag_messages.Step:
        return drag_messages.Step(
            request_id=request_id,
            drag_id=request_id,
            step=number,
            loss=0.0,
            distance_px=1.0,
            handles=(),
        )

    progress = [m.Progress(request_id=1, fraction=n / 10, text="t") for n in range(2)]
    frames = [m.FrameWritten(request_id=1, number=n, path="p") for n in range(2)]
    sent = [step(1), progress[0], step(1, 2), frames[0], step(2), progress[1], frames[1]]
    engine.sendall(b"".join(map(encode, sent)))
    time.sleep(0.05)
    assert client.poll(1.0) == received(step(1, 2), frames[0], step(2), progress[1], frames[1])


def test_the_end_of_the_connection_is_reported_once_after_all_messages(
    client: Client, engine: socket.socket
) -> None:
    engine.sendall(encode(m.Done(request_id=1)))
    engine.close()
    events = poll_until(client, 2)
    assert events == [*received(m.Done(request_id=1)), ev.ConnectionLost("was closed")]
    assert not client.connected
    client.send(m.Shutdown())
    assert client.poll(0.01) == []


def test_an_end_within_a_message_is_reported_as_such(client: Client, engine: socket.socket) -> None:
    engine.sendall(encode(preview(1))[:40])
    engine.close()
    assert poll_until(client, 1) == [ev.ConnectionLost("was cut in the middle of a message")]


@pytest.mark.parametrize(
    "noise",
    [
        random.Random(2).randbytes(4096),
        struct.pack(">II", 2**31, 0),
        encode(m.Done(request_id=1)).replace(b"done", b"dome"),
    ],
)
def test_invalid_bytes_of_a_proven_peer_end_the_connection(
    client: Client, engine: socket.socket, noise: bytes
) -> None:
    engine.sendall(encode(m.Done(request_id=1)) + noise)
    done, lost = poll_until(client, 2)
    assert done == ev.MessageReceived(m.Done(request_id=1))
    assert isinstance(lost, ev.ConnectionLost)
    assert "sent an invalid message" in lost.reason
    assert closed_by_peer(engine)


def test_a_poll_ends_when_its_budget_is_used_up(client: Client, engine: socket.socket) -> None:
    """A poll without budget makes one read and says that more is waiting."""
    frame = encode(preview(1, size_px=512))
    engine.setblocking(False)
    sent = engine.send(frame)
    assert sent > 1 << 19, "the kernel took too little for this test to show anything"
    time.sleep(0.05)
    assert client.poll(0.0) == []
    assert client.more_waiting
    engine.setblocking(True)
    sender = threading.Thread(target=engine.sendall, args=(frame[sent:],))
    sender.start()
    assert poll_until(client, 1) == [ev.MessageReceived(preview(1, size_px=512))]
    sender.join()


def test_a_flood_is_received_up_to_its_last_message(client: Client, engine: socket.socket) -> None:
    """24 previews of 4 MB are sent faster than they are read."""
    frames = [encode(preview(step, size_px=512)) for step in range(24)]

    def flood() -> None:
        for frame in frames:
            engine.sendall(frame)

    sender = threading.Thread(target=flood)
    sender.start()
    events: list[ClientEvent] = []
    deadline_s = time.monotonic() + 30.0
    while not events or events[-1] != ev.MessageReceived(preview(23, size_px=512)):
        assert time.monotonic() < deadline_s
        events += client.poll(0.004)
        time.sleep(0.001)
    sender.join()
    # Previews that arrived together with a newer one were dropped; the order is kept.
    messages = [event.message for event in events if isinstance(event, ev.MessageReceived)]
    steps = [message.step for message in messages if isinstance(message, drag_messages.Preview)]
    assert len(steps) == len(messages)
    assert steps == sorted(set(steps))


# ---------------------------------------------------------------- messages to the engine


def test_a_message_larger_than_the_kernel_takes_is_sent_in_pieces(
    client: Client, engine: socket.socket
) -> None:
    big = m.RenderTrack(
        request_id=1,
        model_path="p",
        track=random.Random(3).randbytes(20 << 20),
        frames=m.FrameTarget(folder="f", stem="s", first_number=1),
    )
    began_s = time.perf_counter()
    client.send(big)
    client.send(m.Shutdown())
    assert time.perf_counter() - began_s < 2
    assert client._outbox, "the kernel took 20 MB at once, so this test shows nothing"
    found: list[m.Message] = []
    reader = threading.Thread(target=lambda: found.extend(read_messages(engine, 2)))
    reader.start()
    while reader.is_alive():
        client.poll(0.004)
        time.sleep(0.0005)
    assert found == [big, m.Shutdown()]


def test_a_message_that_the_protocol_does_not_allow_is_refused(
    client: Client, engine: socket.socket
) -> None:
    with pytest.raises(LocalProtocolError):
        client.send(m.Progress(request_id=1, fraction=float("nan"), text=""))
    client.send(m.Shutdown())
    assert read_messages(engine, 1) == [m.Shutdown()]


def test_closing_twice_is_harmless(client: Client, engine: socket.socket) -> None:
    client.close()
    client.close()
    assert closed_by_peer(engine)
    assert client.poll(0.01) == []


def test_the_engine_finds_a_place_behind_many_that_connected_while_nobody_polled(
    client: Client, connect: Callable[[], socket.socket]
) -> None:
    """While Blender renders, 60 silent connections come, then the engine, then 60 more."""
    strangers = [connect() for _ in range(60)]
    engine = connect()
    engine.sendall(hello(client))
    strangers += [connect() for _ in range(60)]
    assert poll_until(client, 1) == [ev.PeerProven(7)]
    assert all(closed_by_peer(stranger) for stranger in strangers)


def test_strangers_behind_an_engine_that_is_slow_do_not_push_it_out(
    client: Client, connect: Callable[[], socket.socket]
) -> None:
    engine = connect()
    for _ in range(40):
        connect()
    assert poll_quietly(client) == []
    engine.sendall(hello(client))
    assert poll_until(client, 1) == [ev.PeerProven(7)]


def test_a_connection_that_proves_nothing_is_dropped_after_a_while(
    client: Client, connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_PROOF_WITHIN_S", 0.2)
    stranger = connect()
    assert poll_quietly(client) == []
    time.sleep(0.3)
    client.poll(0.0)
    assert closed_by_peer(stranger)
