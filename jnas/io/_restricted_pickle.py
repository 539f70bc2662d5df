"""A reader of pickles that builds data and runs nothing.

Published benchmark files are pickles, and a pickle is a program: `pickle.load` calls whatever the file names. A
subclass of `pickle.Unpickler` that refuses names is not enough for a file from a stranger either: seven bytes make its
memo allocate 34 GB, and a deeply nested key ends the process inside `hash`. So this module is the interpreter itself,
for the opcodes of protocols 2 to 4 that such files hold. It builds numbers, text, bytes, lists, tuples, sets and
dictionaries; a function that the file names is looked up in a table of stand-ins that make data (`_pickle_values`);
everything else is refused. An object is read as what it holds (`HeldValues`), where a reader names its class.

It keeps each distinct text once, and can hand over dictionaries as they are completed, so that a file of some gigabytes
passes through without standing in memory.

References: PEP 3154; the opcodes as `pickletools.opcodes` documents them.
"""

import pickle
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any

from jnas.io._pickle_values import BUILDERS, NAMES, Builder, DataType, Global, HeldValues, Numbers, hashable
from jnas.io._stream import Stream

_AHEAD = 1 << 10  # bytes in view before an opcode: more than one of fixed size or with a short text takes
_GONE = object()  # stands in the memo for what has been handed over


def load(
    stream: Stream,
    *,
    builders: Mapping[str, Builder] = BUILDERS,
    names: frozenset[str] = NAMES,
    persistent: Callable[[Any], Any] | None = None,
    on_dict: Callable[[dict[Any, Any]], bool] | None = None,
    max_containers: int = 1_000_000,
    max_text: int = 1 << 26,
) -> Any:
    """Returns the data of the pickle that begins at the stream's position, and leaves the stream after it.

    Args:
      stream: Where the bytes come from.
      builders: For each function that may be called, what stands in for it.
      names: What else may be mentioned.
      persistent: Makes data of a persistent id; without it such ids are refused.
      on_dict: Called with each dictionary that has just received items. True says that it has been used up: it is
        emptied, and the dictionaries read since the last such time are forgotten.
      max_containers: Most lists, dictionaries, sets and calls; a bound on memory.
      max_text: Most bytes of one text or bytes object.

    Returns:
      None, bool, int, float, str, bytes, list, tuple, dict and set, and what the stand-ins make. A `str` that Python 2
      wrote comes as bytes.

    Raises:
      ValueError: The file is cut off, is no pickle, or asks for something that is not allowed. Nothing has been run.
    """
    return _Machine(stream, builders, names, persistent, on_dict, max_containers, max_text).run()


class _Machine:
    """The state of one reading: a stack, the stacks below its marks, and the memo."""

    def __init__(
        self,
        stream: Stream,
        builders: Mapping[str, Builder],
        names: frozenset[str],
        persistent: Callable[[Any], Any] | None,
        on_dict: Callable[[dict[Any, Any]], bool] | None,
        max_containers: int,
        max_text: int,
    ):
        self.stream = stream
        self.builders = builders
        self.names = names
        self.persistent = persistent
        self.on_dict = on_dict
        self.room = max_containers
        self.max_text = max_text
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: list[Any] = []
        self.forgotten = 0  # length of the memo when dictionaries were last forgotten
        self.texts: dict[bytes, str] = {}

    def run(self) -> Any:
        """Interprets opcodes until STOP, in stretches of a window."""
        stream = self.stream
        if stream.take(1)[0] != pickle.PROTO[0] or stream.take(1)[0] not in (2, 3, 4, 5):
            raise stream.error("is not a pickle of protocol 2 or later")
        try:
            while not self.stretch():
                pass
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            # An opcode reached beyond the window's end, or took from an empty stack, or read what is no text.
            if stream.ended and stream.position + 8 >= len(stream.window):
                raise stream.cut_off() from None
            text = isinstance(error, UnicodeDecodeError)
            what = "it holds text that is not UTF-8" if text else "its opcodes do not fit together"
            raise stream.error(f"is damaged: {what}") from None
        if len(self.stack) != 1 or self.below:
            raise stream.error("is damaged: its opcodes do not fit together")
        return self.stack[0]

    def stretch(self) -> bool:
        """Interprets opcodes while the window lasts, the frequent ones in place; returns True at STOP."""
        stream, memo, texts = self.stream, self.memo, self.texts
        remember, double, word = memo.append, struct.Struct(">d").unpack_from, struct.Struct("<I").unpack_from
        stream.ensure(_AHEAD)
        window, position, stack = stream.window, stream.position, self.stack
        push = stack.append
        last = sys.maxsize if stream.ended else len(window) - _AHEAD
        try:
            while position <= last:
                op = window[position]
                position += 1
                if op == _BINFLOAT:
                    push(double(window, position)[0])
                    position += 8
                elif op == _BININT1:
                    push(window[position])
                    position += 1
                elif op == _SHORT_BINUNICODE or (
                    op == _BINUNICODE and window[position + 1 : position + 4] == b"\0\0\0"
                ):
                    start = position + (1 if op == _SHORT_BINUNICODE else 4)
                    position = start + window[position]
                    raw = window[start:position]
                    text = texts[raw] if raw in texts else texts.setdefault(raw, str(raw, "utf-8"))
                    push(text)
                    if window[position] == _MEMOIZE:
                        remember(text)
                        position += 1
                elif op == _LONG_BINPUT and word(window, position)[0] == len(memo):
                    remember(stack[-1])
                    position += 4
                elif op == _MEMOIZE:
                    remember(stack[-1])
                elif op == _LONG_BINGET and type(text := memo[word(window, position)[0]]) is str:
                    push(text)
                    position += 4
                elif op == _STOP:
                    return True
                else:
                    stream.position = position
                    _OTHERS.get(op, _refuse_opcode)(self)
                    stream.ensure(_AHEAD)
                    window, position, stack = stream.window, stream.position, self.stack
                    push = stack.append
                    last = sys.maxsize if stream.ended else len(window) - _AHEAD
        finally:
            stream.position = position
        return False

    def count(self) -> None:
        """Counts a container, and refuses more than were allowed."""
        self.room -= 1
        if self.room < 0:
            raise self.stream.error("holds far more objects than a benchmark does")

    def integer(self, size: int, signed: bool = False) -> int:
        """Returns the next `size` bytes as a number."""
        return int.from_bytes(self.stream.take(size), "little", signed=signed)

    def since_mark(self) -> list[Any]:
        """Returns what was pushed since the last mark, and goes back to the stack below."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def fill(self, items: list[Any]) -> None:
        """Puts keys and values, alternating, into the dictionary on top of the stack."""
        target, keys = self.stack[-1], items[::2]
        if type(target) is not dict or len(items) % 2 or not hashable(keys):
            raise self.stream.error("is damaged: it fills something that is not a dictionary of plain keys")
        target.update(zip(keys, items[1::2], strict=True))
        if self.on_dict is not None and self.on_dict(target):
            target.clear()
            memo = self.memo
            for i in range(self.forgotten, len(memo)):
                if type(memo[i]) is dict:
                    memo[i] = _GONE
            self.forgotten = len(memo)


def _refuse_opcode(m: _Machine) -> None:
    m.stream.position -= 1
    code = m.stream.take(1)
    name = next((n for n in _OPCODE_NAMES if getattr(pickle, n) == code), f"byte {code[0]}")
    raise m.stream.error(f"uses {name}, which pickles of plain numbers do not; nothing of it was run")


def _push_constant(value: Any) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(value)


def _push_integer(size: int, signed: bool = False) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(m.integer(size, signed))


def _push_container(kind: type) -> Callable[[_Machine], None]:
    def push(m: _Machine) -> None:
        m.count()
        m.stack.append(kind())

    return push


def _push_text(size: int) -> Callable[[_Machine], None]:
    def push(m: _Machine) -> None:
        raw = _take_sized(m, size)
        m.stack.append(m.texts.setdefault(raw, str(raw, "utf-8")))

    return push


def _push_bytes(size: int) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(_take_sized(m, size))


def _take_sized(m: _Machine, size: int) -> bytes:
    length = m.integer(size)
    if length > m.max_text:
        raise m.stream.error(f"is damaged: it announces a text of {length} bytes")
    return m.stream.take(length)


def _put(size: int) -> Callable[[_Machine], None]:
    def put(m: _Machine) -> None:
        index = m.integer(size)
        if index == 1 and not m.memo:
            m.memo.append(_GONE)  # Python 2 counts from one
        if index == len(m.memo):
            m.memo.append(m.stack[-1])
        elif index < len(m.memo):
            m.memo[index] = m.stack[-1]
        else:
            raise m.stream.error(f"is damaged: it remembers object {index} after {len(m.memo)}")

    return put


def _get(size: int) -> Callable[[_Machine], None]:
    def get(m: _Machine) -> None:
        value = m.memo[m.integer(size)]
        if value is _GONE:
            raise m.stream.error("refers to the numbers of one architecture from those of another")
        m.stack.append(value)

    return get


def _mark(m: _Machine) -> None:
    m.count()
    m.below.append(m.stack)
    m.stack = []


def _tuple(count: int) -> Callable[[_Machine], None]:
    def make(m: _Machine) -> None:
        m.count()
        if len(m.stack) < count:
            raise IndexError
        items = tuple(m.stack[-count:])
        del m.stack[-count:]
        m.stack.append(items)

    return make


def _tuple_since_mark(m: _Machine) -> None:
    items = tuple(m.since_mark())  # first, since it changes which stack is the machine's
    m.stack.append(items)


def _extend(m: _Machine, items: list[Any]) -> None:
    if type(m.stack[-1]) is not list:
        raise m.stream.error("is damaged: it appends to something that is not a list")
    m.stack[-1].extend(items)


def _set_item(m: _Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.fill([key, value])


def _add_items(m: _Machine) -> None:
    items = m.since_mark()
    if type(m.stack[-1]) is not set or not hashable(items):
        raise m.stream.error("is damaged: it adds to something that is not a set of plain values")
    m.stack[-1].update(items)


def _global(m: _Machine) -> None:
    module, name = _line(m), _line(m)
    _push_name(m, f"{module}.{name}")


def _stack_global(m: _Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise m.stream.error("is damaged: it names something that is not text")
    _push_name(m, f"{module}.{name}")


def _line(m: _Machine) -> str:
    stream = m.stream
    stream.ensure(_AHEAD)
    end = stream.window.find(b"\n", stream.position, stream.position + _AHEAD)
    if end < 0:
        raise stream.cut_off() if stream.ended else stream.error("is damaged: it holds a name without an end")
    return str(stream.take(end + 1 - stream.position)[:-1], "utf-8")


def _push_name(m: _Machine, name: str) -> None:
    if name not in m.builders and name not in m.names:
        shown = name if len(name) <= 80 and name.isprintable() else ascii(name[:80])
        raise ValueError(
            f"{m.stream.where} asks for {shown}, which a file of plain numbers does not need; nothing of it was run: "
            "do not open it with other programs, and get the file from its official source"
        )
    m.stack.append(Global(name))


def _reduce(m: _Machine) -> None:
    m.count()
    arguments, function = m.stack.pop(), m.stack.pop()
    if type(function) is not Global or function.name not in m.builders or type(arguments) is not tuple:
        raise m.stream.error("calls something that is not a function; nothing of it was run")
    try:
        m.stack.append(m.builders[function.name](*arguments))
    except TypeError as error:
        raise m.stream.error(f"calls {function.name} with arguments that it does not take") from error
    except ValueError as error:
        raise m.stream.error(f"holds {error}") from error


def _new_object(m: _Machine) -> None:
    """An object of a class for which `HeldValues` stands in; of every other the opcode is refused."""
    if len(m.stack) < 2 or type(m.stack[-2]) is not Global or m.builders.get(m.stack[-2].name) is not HeldValues:
        _refuse_opcode(m)
    m.count()
    if m.stack.pop() != ():
        raise m.stream.error("is damaged: it makes an object with arguments that it does not take")
    m.stack[-1] = HeldValues()


def _build(m: _Machine) -> None:
    state, target = m.stack.pop(), m.stack[-1]
    if type(target) is dict:
        return  # attributes of an ordered dictionary, such as the versions beside PyTorch's weights: no data of ours
    if not isinstance(target, DataType | Numbers | HeldValues):
        raise m.stream.error("sets the state of something that has none; nothing of it was run")
    try:
        target.set_state(state)
    except ValueError as error:
        raise m.stream.error(f"holds {error}") from error


def _persistent_id(m: _Machine) -> None:
    if m.persistent is None:
        raise m.stream.error("refers to data outside itself, which pickles of plain numbers do not")
    m.count()
    try:
        m.stack.append(m.persistent(m.stack.pop()))
    except ValueError as error:
        raise m.stream.error(f"holds {error}") from error


_BINFLOAT, _BININT1, _STOP = pickle.BINFLOAT[0], pickle.BININT1[0], pickle.STOP[0]
_MEMOIZE, _LONG_BINPUT, _LONG_BINGET = pickle.MEMOIZE[0], pickle.LONG_BINPUT[0], pickle.LONG_BINGET[0]
_SHORT_BINUNICODE, _BINUNICODE = pickle.SHORT_BINUNICODE[0], pickle.BINUNICODE[0]
_OPCODE_NAMES = [n for n in pickle.__all__ if n.isupper()]

_OTHERS: Mapping[int, Callable[[_Machine], None]] = {
    op[0]: handle
    for op, handle in (
        (pickle.FRAME, lambda m: m.stream.take(8)),  # a hint to readers of files; the opcodes say the same
        (pickle.MARK, _mark),
        (pickle.POP, lambda m: m.stack.pop()),
        (pickle.NONE, _push_constant(None)),
        (pickle.NEWTRUE, _push_constant(True)),
        (pickle.NEWFALSE, _push_constant(False)),
        (pickle.BININT, _push_integer(4, signed=True)),
        (pickle.BININT2, _push_integer(2)),
        (pickle.LONG1, lambda m: m.stack.append(m.integer(m.integer(1), signed=True))),
        (pickle.BINUNICODE, _push_text(4)),
        (pickle.BINUNICODE8, _push_text(8)),
        (pickle.SHORT_BINSTRING, _push_bytes(1)),
        (pickle.BINSTRING, _push_bytes(4)),
        (pickle.SHORT_BINBYTES, _push_bytes(1)),
        (pickle.BINBYTES, _push_bytes(4)),
        (pickle.BINBYTES8, _push_bytes(8)),
        (pickle.BINPUT, _put(1)),
        (pickle.LONG_BINPUT, _put(4)),
        (pickle.BINGET, _get(1)),
        (pickle.LONG_BINGET, _get(4)),
        (pickle.EMPTY_LIST, _push_container(list)),
        (pickle.EMPTY_DICT, _push_container(dict)),
        (pickle.EMPTY_SET, _push_container(set)),
        (pickle.EMPTY_TUPLE, _push_constant(())),
        (pickle.TUPLE, _tuple_since_mark),
        (pickle.TUPLE1, _tuple(1)),
        (pickle.TUPLE2, _tuple(2)),
        (pickle.TUPLE3, _tuple(3)),
        (pickle.APPEND, lambda m: _extend(m, [m.stack.pop()])),
        (pickle.APPENDS, lambda m: _extend(m, m.since_mark())),
        (pickle.SETITEM, _set_item),
        (pickle.SETITEMS, lambda m: m.fill(m.since_mark())),
        (pickle.ADDITEMS, _add_items),
        (pickle.GLOBAL, _global),
        (pickle.STACK_GLOBAL, _stack_global),
        (pickle.REDUCE, _reduce),
        (pickle.NEWOBJ, _new_object),
        (pickle.BUILD, _build),
        (pickle.BINPERSID, _persistent_id),
    )
}
