# SPDX-License-Identifier: GPL-3.0-or-later
"""A pickle interpreter that builds plain data and cannot do anything else.

Python's own unpickler imports what a file names and calls what a file says. This interpreter
understands the same instructions, but imports nothing, calls nothing and sets no attribute. A
global becomes a ``GlobalName`` if the reader allows it; otherwise reading ends. A call becomes a
``Node`` with the callee and the arguments; a reader that knows the format matches these nodes
afterwards. No instruction has an effect outside the values that it makes, so there is nothing to
bypass.

A hostile file can still waste memory and time, so everything is bounded. Each instruction makes at
most one value, and ``Budget`` limits the instructions and the text. Long bytes and texts stay in
the file. No value is compared, hashed or traversed here, except short keys. Lengths are checked
before they are used. Values may share or contain each other, so a reader must follow known keys and
never recurse over all values.

The supported instructions are those that pickle protocols 2 to 5 emit for plain data and for
PyTorch modules.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pickletools import opcodes

from ..errors import ModelErrorKind
from .budget import Budget
from .byte_source import ByteSource, Span
from .refusal import Refusal, damaged, unsafe

MAX_INTEGER_BYTES = 16
# Longer bytes and texts stay in the file.
MAX_INLINE_BYTES = 64
MAX_INLINE_TEXT = 4096
# How many bytes are read at once.
_WINDOW_BYTES = 1 << 16
# Larger integer keys have no use except to make hash tables slow.
MAX_KEY_INTEGER = 2**31


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A global that the pickle refers to and the reader allows; it is never resolved."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Node:
    """The description of a call that an ordinary unpickler would make.

    Attributes:
        callee: The function to call, or the class of a new object.
        arguments: The positional arguments.
        state: The argument of ``__setstate__``; None if the pickle does not set a state.
        entries: The items to set on the result, as on a dictionary.
    """

    callee: GlobalName
    arguments: tuple[object, ...]
    state: object = None
    entries: dict[object, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class PersistentId:
    """A reference to data that are stored outside the pickle."""

    value: object


@dataclass(frozen=True, slots=True, eq=False)
class LongText:
    """A text that was left in the file.

    Attributes:
        span: Its bytes, UTF-8.
    """

    span: Span


_MARK = object()

_UINT1, _UINT2, _UINT4, _UINT8 = (struct.Struct(f"<{kind}") for kind in "BHIQ")
_INT4 = struct.Struct("<i")


class InertPickle:
    """The interpreter of one pickle.

    Args:
        source: The bytes that contain the pickle.
        allowed: The globals that the reader allows, as (module, name).
        budget: Counters of the work, shared by all pickles of a file.
        persistent_ids: Whether the format contains persistent ids.
        hint: Function from the full name of a refused global to text for the message, or to "".
        window: How many bytes to read at once.

    Attributes:
        references: The persistent ids in the order of the pickle.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        allowed: Collection[tuple[str, str]],
        budget: Budget,
        persistent_ids: bool = False,
        hint: Callable[[str], str] = lambda name: "",
        window: int = _WINDOW_BYTES,
    ) -> None:
        self._source = source
        self._allowed = allowed
        self._budget = budget
        self._persistent_ids = persistent_ids
        self._hint = hint
        self._window_bytes = window
        self._window = b""
        self._window_start = 0
        self._position = 0
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self._names: dict[tuple[str, str], GlobalName] = {}
        self.references: list[PersistentId] = []

    def read(self, start: int = 0) -> tuple[object, int]:
        """Interpret the pickle that begins at ``start``.

        Args:
            start: Index of the first byte.

        Returns:
            The value, and the index of the first byte after the pickle.

        Raises:
            Refusal: The data are not a well-formed pickle of allowed globals and plain data.
        """
        self._position = start
        budget = self._budget
        while True:
            budget.opcodes -= 1
            if budget.opcodes < 0:
                raise damaged("has more pickle instructions than any StyleGAN2 checkpoint")
            begin = self._position - self._window_start
            if not 0 <= begin < len(self._window):
                begin = self._fill(1)
            code = self._window[begin]
            self._position += 1
            if code == _STOP:
                return self._pop(), self._position
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise self._unknown(code)
            operation(self)

    # Reading bytes

    def _fill(self, size: int) -> int:
        """Read a window that begins at the position and has at least ``size`` bytes; return 0."""
        left = self._source.size - self._position
        if size > left:
            raise damaged("is truncated or damaged: it ends in the middle of a value")
        self._window = self._source.read(self._position, min(max(size, self._window_bytes), left))
        self._window_start = self._position
        return 0

    def _take(self, size: int) -> bytes:
        begin = self._position - self._window_start
        if begin < 0 or begin + size > len(self._window):
            begin = self._fill(size)
        self._position += size
        return self._window[begin : begin + size]

    def _skip(self, size: int) -> Span:
        if size > self._source.size - self._position:
            raise damaged("is truncated or damaged: it ends in the middle of a value")
        self._position += size
        return Span(self._source, self._position - size, size)

    def _number(self, layout: struct.Struct) -> int:
        number: int = layout.unpack(self._take(layout.size))[0]
        return number

    def _text(self, size: int) -> str | LongText:
        if size > MAX_INLINE_TEXT:
            return LongText(self._skip(size))
        self._budget.spend_text(size)
        try:
            # Python pickles lone surrogates this way. They are not encoded again here.
            return str(self._take(size), "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise damaged("is damaged: a text in it is not UTF-8") from None

    def _bytes(self, size: int) -> bytes | Span:
        return self._skip(size) if size > MAX_INLINE_BYTES else self._take(size)

    def _line(self) -> str:
        begin = self._position - self._window_start
        if begin < 0 or begin + MAX_INLINE_TEXT > len(self._window):
            begin = self._fill(min(MAX_INLINE_TEXT, self._source.size - self._position))
        end = self._window.find(b"\n", begin, begin + MAX_INLINE_TEXT)
        if end < 0:
            raise damaged("is truncated or damaged: a name in it has no end")
        self._position += end + 1 - begin
        self._budget.spend_text(end - begin)
        return self._window[begin:end].decode("utf-8", "backslashreplace")

    # The stack

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _pop(self) -> object:
        value = self._top()
        self._stack.pop()
        return value

    def _top(self) -> object:
        if not self._stack or self._stack[-1] is _MARK:
            raise damaged("is damaged: a pickle instruction lacks its operand")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[object]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                values = self._stack[index + 1 :]
                del self._stack[index:]
                return values
        raise damaged("is damaged: a pickle instruction lacks its operands")

    # Globals

    def _global(self, module: str, name: str) -> None:
        if (module, name) not in self._allowed:
            full = f"{module}.{name}"
            raise unsafe(full, self._hint(full))
        known = self._names.get((module, name))
        if known is None:
            known = self._names[(module, name)] = GlobalName(module, name)
        self._push(known)

    def _unknown(self, code: int) -> Refusal:
        if code == ord("i"):  # INST, which contains the name of a global
            self._global(self._line(), self._line())
        names = [opcode.name for opcode in opcodes if opcode.code == chr(code)]
        shown = names[0] if names else f"0x{code:02x}"
        return damaged(f"is damaged or unsafe: no checkpoint has the pickle instruction {shown}")

    # Instructions that do more than push a constant

    def _do_proto(self) -> None:
        protocol = self._number(_UINT1)
        if protocol > 5:
            raise damaged(
                f"is damaged or from a later Python version: it has pickle protocol {protocol}"
            )

    def _do_frame(self) -> None:
        if self._number(_UINT8) > self._source.size - self._position:
            raise damaged("is truncated or damaged: it is shorter than its frame length")

    def _do_long1(self) -> None:
        size = self._number(_UINT1)
        if size > MAX_INTEGER_BYTES:
            raise damaged("is damaged: it has an integer that is too large")
        self._push(int.from_bytes(self._take(size), "little", signed=True))

    def _do_binfloat(self) -> None:
        (number,) = struct.unpack(">d", self._take(8))
        self._push(number)

    def _do_put(self, layout: struct.Struct) -> None:
        self._memo[self._number(layout)] = self._top()

    def _do_memoize(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def _do_get(self, layout: struct.Struct) -> None:
        index = self._number(layout)
        if index not in self._memo:
            raise damaged("is damaged: it refers to a value that it does not have")
        self._push(self._memo[index])

    def _do_tuple(self, size: int) -> None:
        values = tuple(self._stack[-size:])
        if len(values) < size or _MARK in values:
            raise damaged("is damaged: a pickle instruction lacks its operand")
        del self._stack[-size:]
        self._push(values)

    def _do_append(self) -> None:
        value = self._pop()
        self._extend([value])

    def _extend(self, values: list[object]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise damaged("is damaged: it adds an item to something that is not a list")
        target.extend(values)

    def _do_setitem(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _set_items(self, values: list[object]) -> None:
        target = self._top()
        entries = target.entries if isinstance(target, Node) else target
        if not isinstance(entries, dict) or len(values) % 2:
            raise damaged("is damaged: it sets a key of something that is not a dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            entries[_checked_key(key)] = value

    def _do_additems(self) -> None:
        values, target = self._pop_to_mark(), self._top()
        if not isinstance(target, set):
            raise damaged("is damaged: it adds an element to something that is not a set")
        target.update(_checked_key(value) for value in values)

    def _do_global(self) -> None:
        self._global(self._line(), self._line())

    def _do_stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise damaged("is damaged: it names a global by something that is not text")
        self._global(module, name)

    def _do_call(self) -> None:
        """Handle REDUCE and NEWOBJ: a callee or a class, and a tuple of arguments."""
        arguments, callee = self._pop(), self._pop()
        if not isinstance(callee, GlobalName):
            raise Refusal(
                ModelErrorKind.UNSAFE,
                "asks to call something that is not a known name; nothing in it was run",
            )
        if not isinstance(arguments, tuple):
            raise damaged("is damaged: a call in it has no arguments")
        self._push(Node(callee, arguments))

    def _do_build(self) -> None:
        state, target = self._pop(), self._top()
        if not isinstance(target, Node) or target.state is not None:
            raise damaged("is damaged: it sets the state of something that cannot have one")
        target.state = state

    def _do_binpersid(self) -> None:
        if not self._persistent_ids:
            raise damaged("is damaged: it refers to data outside the pickle")
        reference = PersistentId(self._pop())
        self.references.append(reference)
        self._push(reference)


def _checked_key(key: object) -> object:
    """Return a key that is safe to hash: text, a small integer or None.

    Other keys would let a file decide how much work ``hash`` and ``==`` have to do.
    """
    small = isinstance(key, int) and abs(key) < MAX_KEY_INTEGER
    if key is None or isinstance(key, str) or small:
        return key
    raise damaged("is damaged: a key in it is neither text nor a small integer")


Operation = Callable[[InertPickle], None]


def _constant(make: Callable[[], object]) -> Operation:
    return lambda machine: machine._stack.append(make())


def _integer(layout: struct.Struct) -> Operation:
    return lambda machine: machine._stack.append(machine._number(layout))


def _string(layout: struct.Struct) -> Operation:
    return lambda machine: machine._push(machine._text(machine._number(layout)))


def _bytes(layout: struct.Struct) -> Operation:
    return lambda machine: machine._push(machine._bytes(machine._number(layout)))


def _tuple(size: int) -> Operation:
    return lambda machine: machine._do_tuple(size)


def _put(layout: struct.Struct) -> Operation:
    return lambda machine: machine._do_put(layout)


def _get(layout: struct.Struct) -> Operation:
    return lambda machine: machine._do_get(layout)


_STOP = ord(".")
_OPERATIONS: dict[int, Operation] = {
    0x80: InertPickle._do_proto,
    0x95: InertPickle._do_frame,
    ord("("): _constant(lambda: _MARK),
    ord("N"): _constant(lambda: None),
    0x88: _constant(lambda: True),
    0x89: _constant(lambda: False),
    ord("}"): _constant(dict),
    ord("]"): _constant(list),
    ord(")"): _constant(tuple),
    0x8F: _constant(set),
    ord("J"): _integer(_INT4),
    ord("K"): _integer(_UINT1),
    ord("M"): _integer(_UINT2),
    0x8A: InertPickle._do_long1,
    ord("G"): InertPickle._do_binfloat,
    0x8C: _string(_UINT1),
    ord("X"): _string(_UINT4),
    0x8D: _string(_UINT8),
    ord("C"): _bytes(_UINT1),
    ord("B"): _bytes(_UINT4),
    0x8E: _bytes(_UINT8),
    ord("q"): _put(_UINT1),
    ord("r"): _put(_UINT4),
    0x94: InertPickle._do_memoize,
    ord("h"): _get(_UINT1),
    ord("j"): _get(_UINT4),
    ord("t"): lambda machine: machine._push(tuple(machine._pop_to_mark())),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("a"): InertPickle._do_append,
    ord("e"): lambda machine: machine._extend(machine._pop_to_mark()),
    ord("s"): InertPickle._do_setitem,
    ord("u"): lambda machine: machine._set_items(machine._pop_to_mark()),
    0x90: InertPickle._do_additems,
    ord("c"): InertPickle._do_global,
    0x93: InertPickle._do_stack_global,
    ord("R"): InertPickle._do_call,
    0x81: InertPickle._do_call,
    ord("b"): InertPickle._do_build,
    ord("Q"): InertPickle._do_binpersid,
}
