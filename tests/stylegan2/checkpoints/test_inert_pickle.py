# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter builds the same plain data as Python's unpickler, and nothing else."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import pytest

from stylegan2 import ModelErrorKind
from stylegan2.checkpoints.budget import MAX_TEXT_BYTES, Budget
from stylegan2.checkpoints.byte_source import MemoryBytes, Span
from stylegan2.checkpoints.inert_pickle import GlobalName, InertPickle, LongText, Node
from stylegan2.checkpoints.refusal import Refusal

ORDERED_DICT = ("collections", "OrderedDict")


def read(data: bytes, *, limit: int = 10_000) -> object:
    machine = InertPickle(MemoryBytes(data), allowed={ORDERED_DICT}, budget=Budget(limit))
    value, end = machine.read()
    assert end == len(data)
    return value


def refusal_of(data: bytes, *, limit: int = 10_000) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(data, limit=limit)
    return caught.value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [0, 255, 256, 65535, 65536, -1, 2**31, -(2**40), 0x1950A86A20F9469CFC6C],
        [1.5, -0.0, 1e300],
        "text \u00e4 \U0001f412 \udc80",
        "long " * 100,
        ("", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        {"a": [1, {"b": ()}], 3: None, None: False},
        [[], {}, [[]], {"x": {}}],
        {"big": list(range(3000))},
    ],
    ids=range(10),
)
def test_plain_data_is_read_as_python_reads_it(value: object, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [4, 5])
def test_sets_are_read(protocol: int) -> None:
    assert read(pickle.dumps({"a", "b", 3}, protocol)) == {"a", "b", 3}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_long_bytes_stay_in_the_file(protocol: int) -> None:
    value = read(pickle.dumps([b"short", b"x" * 1000], protocol))
    assert isinstance(value, list)
    short, long = value
    assert short == b"short"
    assert isinstance(long, Span)
    assert long.read(0, long.size) == b"x" * 1000


@pytest.mark.parametrize("protocol", [2, 4])
def test_long_texts_stay_in_the_file(protocol: int) -> None:
    value = read(pickle.dumps("\u00e4" * 3000, protocol))
    assert isinstance(value, LongText)
    assert value.span.read(0, value.span.size) == ("\u00e4" * 3000).encode()


def test_text_is_limited() -> None:
    text = "x" * 4096
    data = b"\x80\x04(" + pickle.dumps(text, 2)[2:-3] * (MAX_TEXT_BYTES // len(text) + 1) + b"t."
    assert "more text than any StyleGAN2 checkpoint" in refusal_of(data, limit=100_000).reason


def test_shared_values_stay_shared() -> None:
    shared = [1]
    value = read(pickle.dumps([shared, shared]))
    assert isinstance(value, list)
    assert value[0] is value[1]


def test_calls_are_remembered_and_not_made() -> None:
    value = read(pickle.dumps(OrderedDict(a=1, b=[2])))
    assert isinstance(value, Node)
    assert value.callee == GlobalName(*ORDERED_DICT)
    assert value.arguments == ()
    assert value.entries == {"a": 1, "b": [2]}


def test_consecutive_pickles_are_read_from_where_the_last_ended() -> None:
    data = pickle.dumps([1]) + pickle.dumps("two") + b"rest"
    machine = InertPickle(MemoryBytes(data), allowed=(), budget=Budget())
    first, position = machine.read()
    second, position = machine.read(position)
    assert (first, second, data[position:]) == ([1], "two", b"rest")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (b"\x80\x04", "truncated"),
        (b"\x80\x07N.", "pickle protocol 7"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.", "shorter than its frame length"),
        (b"\x80\x04\x8e\x00\x00\x00\x00\x01\x00\x00\x00data", "ends in the middle of a value"),
        (b"\x80\x04X\xff\xff\xff\xfftext", "ends in the middle of a value"),
        (b"\x80\x04\x8c\x02\xff\xff.", "not UTF-8"),
        (b"\x80\x04\x8a\x40" + b"\x01" * 64 + b".", "integer that is too large"),
        (b"\x80\x04.", "lacks its operand"),
        (b"\x80\x04(.", "lacks its operand"),
        (b"\x80\x04K\x01u.", "lacks its operands"),
        (b"\x80\x04K\x01\x86.", "lacks its operand"),
        (b"\x80\x04(K\x01\x85\x86.", "lacks its operand"),
        (b"\x80\x04h\x05.", "refers to a value"),
        (b"\x80\x04K\x01K\x02a.", "not a list"),
        (b"\x80\x04](K\x01K\x02u.", "not a dictionary"),
        (b"\x80\x04}(K\x01u.", "not a dictionary"),
        (b"\x80\x04](K\x01\x90.", "not a set"),
        (b"\x80\x04}]K\x01s.", "neither text nor a small integer"),
        (b"\x80\x04}\x8a\x05\x00\x00\x00\x00\x10K\x01s.", "neither text nor a small integer"),
        (b"\x80\x04\x8f(]\x90.", "neither text nor a small integer"),
        (b"\x80\x04]K\x01b.", "cannot have one"),
        (b"\x80\x04K\x01Q.", "outside the pickle"),
        (b"\x80\x02ccollections", "name in it has no end"),
        (b"\x80\x04K\x01K\x02\x93.", "by something that is not text"),
        (b"\x80\x02ccollections\nOrderedDict\nK\x01R.", "has no arguments"),
        (b"\x80\x02ccollections\nOrderedDict\n)R}b}b.", "cannot have one"),
    ],
)
def test_malformed_pickles_are_refused(data: bytes, message: str) -> None:
    error = refusal_of(data)
    assert error.kind is ModelErrorKind.DAMAGED
    assert message in error.reason


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (b"o", "OBJ"),
        (b"\x92", "NEWOBJ_EX"),
        (b"\x82", "EXT1"),
        (b"\x83", "EXT2"),
        (b"\x84", "EXT4"),
        (b"P", "PERSID"),
        (b"\x97", "NEXT_BUFFER"),
        (b"\x98", "READONLY_BUFFER"),
        (b"2", "DUP"),
        (b"0", "POP"),
        (b"\xfe", "0xfe"),
    ],
)
def test_instructions_that_no_checkpoint_has_are_refused(code: bytes, name: str) -> None:
    assert f"pickle instruction {name}" in refusal_of(b"\x80\x04N" + code + b"\x01\x01.").reason


def test_calling_a_value_is_refused() -> None:
    error = refusal_of(b"\x80\x04]K\x01\x85R.")
    assert error.kind is ModelErrorKind.UNSAFE


def test_instructions_are_counted() -> None:
    assert read(b"\x80\x04" + b"]" + b"K\x01a" * 40 + b".", limit=100)
    assert (
        "more pickle instructions"
        in refusal_of(b"\x80\x04" + b"]" + b"K\x01a" * 60 + b".", limit=100).reason
    )
