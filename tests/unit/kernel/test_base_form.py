"""What a base says is read by every later version: the state's records grow at their ends, or the form gets a number.

A test here fails where a record of the state lost a field, moved or renamed one, or has a new one without a default.
Then raise `kernel.base_form.FORM`, write its upcaster where there can be one, and record the new form:

    python -m tests.unit.kernel.test_base_form
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect as inspect
import pytest

from prytany.abi.errors import Eio
from prytany.kernel.base_form import FORM, UPCASTERS, read_state
from prytany.kernel.state import ShardState
from prytany.ports.store import Base

RECORDED = Path(__file__).with_name("base_form_1.json")


def form() -> dict[str, Any]:
    """All records of the state: whether they are arrays, their tags, and their fields in order."""
    found: dict[str, Any] = {}
    for kind in inspect.multi_type_info([ShardState]):
        _add(kind, found)
    return found


def _add(kind: Any, found: dict[str, Any]) -> None:
    if isinstance(kind, inspect.StructType):
        name = kind.cls.__name__
        if name in found:
            return
        found[name] = {"array": kind.array_like, "tag": kind.tag, "fields": []}
        for field in kind.fields:
            found[name]["fields"].append([field.encode_name, _shape(field.type), field.required])
            _add(field.type, found)
    for part in ("key_type", "value_type", "item_type"):
        if hasattr(kind, part):
            _add(getattr(kind, part), found)
    for part in getattr(kind, "types", ()):
        _add(part, found)


def _shape(kind: Any) -> str:
    if isinstance(kind, inspect.StructType):
        return kind.cls.__name__
    parts = [getattr(kind, part) for part in ("key_type", "value_type", "item_type") if hasattr(kind, part)]
    parts += getattr(kind, "types", ())
    return type(kind).__name__ + (f"({', '.join(map(_shape, parts))})" if parts else "")


def faults(recorded: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where what was recorded could not be read as what there is now."""
    wrong: list[str] = []
    for name, was in recorded.items():
        there = now.get(name)
        if there is None or (there["array"], there["tag"]) != (was["array"], was["tag"]):
            wrong.append(f"{name} is gone, or has another shape")
            continue
        before, after = was["fields"], there["fields"]
        known = {field[0]: field for field in after}
        if was["array"]:
            same = after[: len(before)] == before
            new = after[len(before) :]
        else:
            same = all(known.get(field[0]) == field for field in before)
            new = [field for field in after if field[0] not in {one[0] for one in before}]
        if not same:
            wrong.append(f"{name} lost a field, or one has moved or means something else")
        wrong += [f"{name}.{field[0]} is new and has no default" for field in new if field[2]]
    return wrong


def test_the_state_reads_what_a_base_of_this_form_says() -> None:
    recorded = json.loads(RECORDED.read_text())
    assert faults(recorded["form"], form()) == []
    state = base64.b64decode(recorded["state"])
    read = read_state(Base(1, b"", 1, b"", 1, state, b"", b""), ShardState)
    assert list(read.table.processes) == [1]
    assert read.contexts.owned


def test_each_older_form_has_a_number_and_no_upcaster_is_of_another() -> None:
    assert set(UPCASTERS) <= set(range(1, FORM))


def test_what_would_not_be_read_is_found() -> None:
    now = form()
    moved = json.loads(json.dumps(now))
    moved["Process"]["fields"][0], moved["Process"]["fields"][1] = moved["Process"]["fields"][1::-1]
    without = json.loads(json.dumps(now))
    del without["Table"]["fields"][3]
    needed = json.loads(json.dumps(now))
    needed["Head"]["fields"].append(["new", "IntType", True])
    grown = json.loads(json.dumps(now))
    grown["Head"]["fields"].append(["new", "IntType", False])
    assert [bool(faults(now, other)) for other in (moved, without, needed, grown, now)] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x80" * 3, msgspec.msgpack.encode([1]), b"\x91" * 100_000])
def test_a_state_that_is_none_is_an_errno(state: bytes) -> None:
    with pytest.raises(Eio):
        read_state(Base(1, b"", 1, b"", FORM, state, b"", b""), ShardState)
    with pytest.raises(Eio):
        read_state(Base(1, b"", 1, b"", FORM + 1, state, b"", b""), ShardState)
    with pytest.raises(Eio):
        read_state(Base(1, b"", 1, b"", 0, state, b"", b""), ShardState)


if __name__ == "__main__":
    import asyncio

    from prytany.kernel.folding import fold
    from tests.simulation.conversations import talking

    fleet = talking("talker")
    asyncio.run(fleet.live(40, after_commit=True))
    state, _ = fold(fleet.store.reader())
    said = {"form": form(), "state": base64.b64encode(state.encode()).decode()}
    RECORDED.write_text(json.dumps(said, indent=1) + "\n")
