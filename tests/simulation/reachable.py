"""What an object holds: every container that can be reached from it, by the way to it, with its size."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

PLAIN = (str, bytes, int, float, bool, type(None), memoryview)
CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.CodeType)


def sizes_of(root: object, left_out: Callable[[object], bool]) -> dict[str, int]:
    """The largest container at each way from `root`: names of fields, `[]` for any member, `()` for what is bound.

    Members of a container share one way, so that what is held for a thousand processes shows as one line.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    queue: deque[tuple[str, object]] = deque([("", root)])
    while queue:
        way, held = queue.popleft()
        if isinstance(held, PLAIN + CODE) or id(held) in seen or left_out(held):
            continue
        seen.add(id(held))
        if isinstance(held, dict | list | set | frozenset | deque | tuple):
            found[way] = max(found.get(way, 0), len(held))
        queue.extend((f"{way}{step}", value) for step, value in _parts(held))
    return found


def _parts(held: Any) -> Iterator[tuple[str, object]]:
    if isinstance(held, dict):
        yield from (("[key]", key) for key in held)
        yield from (("[]", value) for value in held.values())
    elif isinstance(held, list | set | frozenset | deque | tuple):
        yield from (("[]", value) for value in held)
    elif isinstance(held, types.MethodType):
        yield "()", held.__self__
    elif isinstance(held, msgspec.Struct):
        yield from ((f".{name}", getattr(held, name)) for name in held.__struct_fields__)
    else:
        if isinstance(held, types.FunctionType):
            return
        for kind in type(held).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(held, name):
                    yield f".{name}", getattr(held, name)
        yield from ((f".{name}", value) for name, value in getattr(held, "__dict__", {}).items())
