# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes to messages and back: all bytes give messages or ``RemoteProtocolError``."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import struct
from typing import Any

import pytest

from draggan_blender.protocol import (
    Decoder,
    LocalProtocolError,
    RemoteProtocolError,
    codec,
    drag_messages,
    encode,
    timeline,
)
from draggan_blender.protocol import messages as m
from draggan_blender.protocol.settings import DragSettings
from tests.protocol.generated import make, one_of_each

CLASSES = [pytest.param(cls, id=cls.kind) for cls in codec.ALL_MESSAGES]


def decode(data: bytes) -> list[m.Message]:
    return list(Decoder(trusted=True).feed(data))


def split(frame: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the payload of a frame."""
    header_size, _ = struct.unpack_from(">II", frame)
    return json.loads(frame[8 : 8 + header_size]), frame[8 + header_size :]


def join(header: Any, payload: bytes = b"") -> bytes:
    """Return a frame with any header, also one that ``encode`` refuses."""
    text = json.dumps(header).encode()
    return struct.pack(">II", len(text), len(payload)) + text + payload


# ---------------------------------------------------------------- valid frames


@pytest.mark.parametrize("cls", CLASSES)
def test_every_message_is_equal_after_encoding_and_decoding(cls: type[m.Message]) -> None:
    source = random.Random(cls.kind)
    for _ in range(40):
        message = make(cls, source)
        (found,) = decode(encode(message))
        assert found == message
        assert type(found) is type(message)


def test_negative_zero_and_whole_floats_keep_their_type() -> None:
    (found,) = decode(encode(m.Progress(request_id=1, fraction=-0.0, text="")))
    assert isinstance(found, m.Progress)
    assert math.copysign(1, found.fraction) == -1
    header, _ = split(encode(found))
    (whole,) = decode(join({**header, "fraction": 1}))
    assert isinstance(whole, m.Progress)
    assert type(whole.fraction) is float


def test_the_layout_of_the_hello_does_not_change() -> None:
    frame = encode(m.Hello(protocol_version=7, token="ab", pid=12))
    text = b'{"kind":"hello","protocol_version":7,"token":"ab","pid":12}'
    assert frame == struct.pack(">II", len(text), 0) + text


def test_a_stream_is_decoded_one_byte_at_a_time() -> None:
    messages = one_of_each(1)
    decoder = Decoder(trusted=True)
    found: list[m.Message] = []
    for byte in b"".join(map(encode, messages)):
        found += decoder.feed(bytes([byte]))
    assert found == messages
    assert not decoder.mid_frame


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_is_decoded_in_any_pieces(seed: int) -> None:
    source = random.Random(seed)
    messages = one_of_each(seed)
    stream = b"".join(map(encode, messages))
    decoder = Decoder(trusted=True)
    found: list[m.Message] = []
    while stream:
        count = source.choice((1, 5, 100, 3000, 10**6))
        piece = bytearray(stream[:count])
        found += decoder.feed(memoryview(piece))
        # The decoder must not keep a view of the caller's buffer.
        piece[:] = b"\xff" * len(piece)
        stream = stream[count:]
    assert found == messages


@pytest.mark.parametrize("cls", CLASSES)
def test_an_incomplete_frame_gives_no_message_and_no_error(cls: type[m.Message]) -> None:
    frame = encode(make(cls, random.Random(3)))
    for end in range(1, len(frame), max(1, len(frame) // 100)):
        decoder = Decoder(trusted=True)
        assert list(decoder.feed(frame[:end])) == []
        assert decoder.mid_frame


# ---------------------------------------------------------------- sizes


def test_a_stranger_may_send_at_most_a_kilobyte() -> None:
    limit = codec.MAX_UNPROVEN_BYTES
    assert list(Decoder().feed(struct.pack(">II", limit - 10, 10))) == []
    for sizes in ((limit + 1, 0), (0, limit + 1), (limit, 1), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(RemoteProtocolError):
            list(Decoder().feed(struct.pack(">II", *sizes)))


def test_a_proven_peer_may_send_up_to_the_limits() -> None:
    header, payload = codec.MAX_HEADER_BYTES, codec.MAX_PAYLOAD_BYTES
    assert list(Decoder(trusted=True).feed(struct.pack(">II", header, payload))) == []
    for sizes in ((header + 1, 0), (0, payload + 1)):
        with pytest.raises(RemoteProtocolError):
            list(Decoder(trusted=True).feed(struct.pack(">II", *sizes)))


def test_trust_after_the_first_message_applies_to_the_next_in_the_same_bytes() -> None:
    hello = m.Hello(protocol_version=1, token="t", pid=1)
    big = m.Failed(request_id=1, cause="model", message="x" * 5000)
    decoder = Decoder()
    found = []
    for message in decoder.feed(encode(hello) + encode(big)):
        found.append(message)
        decoder.trust()
    assert found == [hello, big]
    with pytest.raises(RemoteProtocolError):
        list(Decoder().feed(encode(hello) + encode(big)))


def test_our_own_message_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_PAYLOAD_BYTES", 100)
    assert encode(m.Sampled(request_id=1, latent=b"\0" * 100))
    with pytest.raises(LocalProtocolError, match="101 bytes is over the limit"):
        encode(m.Sampled(request_id=1, latent=b"\0" * 101))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, object()])
def test_our_own_message_that_json_cannot_represent_is_refused(value: Any) -> None:
    with pytest.raises(LocalProtocolError, match="progress message cannot be sent"):
        encode(m.Progress(request_id=1, fraction=value, text=""))


# ---------------------------------------------------------------- invalid frames


@pytest.mark.parametrize("cls", CLASSES)
def test_a_missing_or_unknown_field_is_refused(cls: type[m.Message]) -> None:
    header, payload = split(encode(make(cls, random.Random(5))))
    for name in header:
        less = {key: value for key, value in header.items() if key != name}
        with pytest.raises(RemoteProtocolError):
            decode(join(less, payload))
    with pytest.raises(RemoteProtocolError, match=r"unknown fields 'more'$"):
        decode(join({**header, "more": 1}, payload))


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "\ud83d", "a\u2028b"])
def test_a_field_of_any_name_is_refused_in_one_printable_line(name: str) -> None:
    header, payload = split(encode(make(timeline.Edit, random.Random(5))))
    with pytest.raises(RemoteProtocolError) as refused:
        decode(join({**header, name: 1}, payload))
    assert str(refused.value).isprintable()
    many = {f"{name} {number}" * 50: 1 for number in range(50)}
    with pytest.raises(RemoteProtocolError) as refused:
        decode(join(header | many, payload))
    assert len(str(refused.value)) < 500


def test_settings_of_an_older_file_are_read_and_mean_the_same() -> None:
    edit = make(timeline.Edit, random.Random(7))
    header, payload = split(encode(edit))
    for entry in header["settings"]:
        for name in DragSettings.LATER:
            del entry["settings"][name]
    (found,) = decode(join(header, payload))
    assert isinstance(found, timeline.Edit)
    for entry, before in zip(found.settings, edit.settings, strict=True):
        assert entry.settings.freedom == 0.0
        assert entry.settings.mask_mode == "soft"
        assert entry.settings.latent_space == before.settings.latent_space
    header["settings"][0]["settings"]["later"] = 1
    with pytest.raises(RemoteProtocolError, match="unknown fields"):
        decode(join(header, payload))


@pytest.mark.parametrize("cls", CLASSES)
def test_a_value_of_another_type_is_refused(cls: type[m.Message]) -> None:
    header, payload = split(encode(make(cls, random.Random(6))))
    values: list[Any] = [None, True, {}, {"a": 1}, [[[]]], math.nan, math.inf, "?", 10**400, 0.5]
    for name, right in header.items():
        for wrong in values:
            fits = isinstance(right, str) and wrong == "?" and name not in ("kind", "stem")
            fits |= isinstance(right, float) and wrong == 0.5
            fits |= isinstance(right, bool) and wrong is True
            fits |= isinstance(right, int) and wrong == 10**400 and name not in ("seed", "label")
            # The settings of an edit must start at its first frame, so 10**400 does not fit there.
            fits &= name != "first_number" or cls is not timeline.Edit
            if not fits or name in ("kind", "blobs"):
                with pytest.raises(RemoteProtocolError):
                    decode(join({**header, name: wrong}, payload))


def test_a_preview_of_another_size_than_its_pixels_is_refused() -> None:
    pixels = bytes(16)
    preview = drag_messages.Preview(
        request_id=1, drag_id=1, step=1, width=1, height=1, pixels=pixels
    )
    header, payload = split(encode(preview))
    for size in ({"width": 2}, {"width": 0}, {"width": -1, "height": -1}, {"height": 10**300}):
        with pytest.raises(RemoteProtocolError):
            decode(join({**header, **size}, payload))


@pytest.mark.parametrize(
    "blobs",
    [
        None,
        3,
        [],
        [5],
        [3, 2, 0, 0, 0],
        [3, 3, 0, 0, 0, 0],
        [3, 1, 0, 0, 0, 0, 1],
        [7, -2, 0, 0, 0, 0],
        [2.5, 2.5, 0, 0, 0, 0],
        ["5", 0, 0, 0, 0, 0],
        [True, 4, 0, 0, 0, 0],
        [10**30, 0, 0, 0, 0, 0],
    ],
    ids=repr,
)
def test_lengths_that_do_not_fit_the_payload_are_refused(blobs: Any) -> None:
    drag = dataclasses.replace(
        typed(drag_messages.Drag, make(drag_messages.Drag, random.Random(7))),
        latent=b"123",
        mask=b"45",
        wider_mask=b"",
        earlier_track=b"",
        earlier_count=0,
        locked=b"",
        held_to=b"",
    )
    header, payload = split(encode(drag))
    assert header["blobs"] == [3, 2, 0, 0, 0, 0]
    with pytest.raises(RemoteProtocolError, match="payload does not fit"):
        decode(join({**header, "blobs": blobs}, payload))
    with pytest.raises(RemoteProtocolError, match="payload does not fit"):
        decode(join({**header, "latent": "abc"}, payload))


def typed(cls: type[Any], message: m.Message) -> Any:
    assert isinstance(message, cls)
    return message


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"hello"',
        b"{}",
        b'{"kind": 3}',
        b'{"kind": ["hello"]}',
        b'{"kind": "no such"}',
        b'{"kind": ""}',
        b"[" * 100_000,
        b'{"kind": "shutdown", "blobs": [0]}',
        '{"kind": "shutdown"}'.encode("utf-16"),
        b'{"kind": "stop", "request_id": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_a_header_that_is_not_a_message_is_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(struct.pack(">II", len(text), 0) + text)


def outcome(data: bytes) -> str:
    """Return ``messages`` or ``refused``; any other exception fails the test."""
    try:
        decode(data)
    except RemoteProtocolError:
        return "refused"
    return "messages"


def test_random_bytes_are_refused_or_incomplete() -> None:
    source = random.Random(11)
    found = {outcome(source.randbytes(source.randrange(200))) for _ in range(2000)}
    assert found == {"messages", "refused"}
    for _ in range(2000):
        size = source.randrange(200)
        frame = struct.pack(">II", size, 0) + source.randbytes(size)
        assert outcome(frame) == "refused"


def test_damaged_frames_give_messages_or_a_refusal() -> None:
    source = random.Random(12)
    found = set()
    for seed in range(30):
        for message in one_of_each(seed):
            frame = bytearray(encode(message))
            for _ in range(source.choice((1, 1, 4))):
                frame[source.randrange(min(len(frame), 400))] = source.randrange(256)
            found.add(outcome(bytes(frame)))
    assert found == {"messages", "refused"}


def test_damaged_headers_give_messages_or_a_refusal() -> None:
    source = random.Random(13)
    numbers: list[Any] = [-1, 0, 2**70, 10**400, math.nan, -math.inf]
    odd = [None, True, *numbers, "", "x", [], [[1]], {}, "\ud800"]

    def damage(value: Any) -> Any:
        if isinstance(value, dict) and value and source.random() < 0.9:
            key = source.choice(list(value))
            return {**value, key: damage(value[key])}
        if isinstance(value, list) and value and source.random() < 0.7:
            place = source.randrange(len(value))
            return [*value[:place], damage(value[place]), *value[place + 1 :]]
        return source.choice(odd)

    found = set()
    for seed in range(40):
        for message in one_of_each(seed):
            header, payload = split(encode(message))
            found.add(outcome(join(damage(header), payload)))
    assert found == {"messages", "refused"}
