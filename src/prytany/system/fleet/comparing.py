"""What is different between a fleet as it is up and as it is brought: the plan of `up`.

Nothing of a text is quoted, only the key that it stands at: an address or a command can hold what is nobody's business.
Numbers and names of things that the file declares are shown as they were and are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from prytany.abi.control import Change
from prytany.system.fleet.channels import label_of
from prytany.system.fleet.form import Notice
from prytany.system.fleet.form_terms import RunBudgeted, form_of
from prytany.system.fleet.resolved import ResolvedFleet

ADDED, CHANGED, REMOVED = "+", "~", "-"
NAMES_SHOWN = 10
"""Of what a list has more or less."""
SHOWN = ("entry", "folder", "policy", "preempts", "qos", "budget", "budget.of")
"""Texts that are shown: where a fleet is from is what two of one name differ in, and others are words of the form."""
Behind = Mapping[tuple[str, str], Sequence[str]]
"""What changed behind the file: by kind and name, in words."""


def compare(before: ResolvedFleet | None, after: ResolvedFleet, behind: Behind) -> list[Change]:
    """All that changes, in the order of the file.

    Args:
        before: as it is up; None where it is not.
        after: as it is brought.
        behind: what changed of what the file names, the file being the same or not.
    """
    if before is None:
        before = ResolvedFleet(name=after.name, folder=after.folder, entry=after.entry, agents={})
    changes = [*_one("fleet", after.name, _frame(before), _frame(after), behind)]
    parts: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("agent", before.agents, after.agents),
        ("model", before.models, after.models),
        ("secret", before.secrets, after.secrets),
        ("tools", before.tools, after.tools),
        ("trigger", before.triggers, after.triggers),
        ("group", before.supervise, after.supervise),
        ("notify", _labelled(before.notify), _labelled(after.notify)),
    ]
    for kind, had, has in parts:
        hidden = [name for of, name in behind if of == kind and name not in has and name not in had]
        for name in dict.fromkeys([*has, *had, *hidden]):
            if name in hidden:  # a variable of the environment that the file does not name
                changes.append(Change(sign=CHANGED, kind=kind, name=name, what=list(behind[kind, name])))
            else:
                changes += _one(kind, name, had.get(name), has.get(name), behind)
    return changes


def _labelled(notices: Sequence[Notice]) -> dict[str, Notice]:
    """By what people are shown of each; of several that are shown alike, with their places."""
    labelled: dict[str, Notice] = {}
    for at, notice in enumerate(notices):
        label = label_of(notice)
        labelled[f"{label} ({at})" if label in labelled else label] = notice
    return labelled


class _Frame(msgspec.Struct, frozen=True):
    """What is the fleet's own."""

    entry: str
    folder: str
    folders: dict[str, str]
    budget: RunBudgeted | None
    bytes_per_second: int


def _frame(fleet: ResolvedFleet) -> _Frame:
    budget = fleet.run_budget
    shown = form_of(budget) if fleet.up_budget and budget else fleet.budget
    return _Frame(fleet.entry, fleet.folder, fleet.folders, shown, fleet.bytes_per_second)


def _one(kind: str, name: str, before: Any, after: Any, behind: Behind) -> Iterator[Change]:
    if before is None and after is None:
        return
    if before is None or after is None:
        yield Change(sign=ADDED if before is None else REMOVED, kind=kind, name=name)
        return
    what = list(dict.fromkeys([*differing(before, after), *behind.get((kind, name), ())]))
    if what:
        yield Change(sign=CHANGED, kind=kind, name=name, what=what)


def differing(before: Any, after: Any) -> list[str]:
    """The keys at which two parts of a fleet differ, with what can be shown of how."""
    had, has = dict(_leaves(before, "")), dict(_leaves(after, ""))
    return [
        _said(key, had.get(key), has.get(key)) for key in dict.fromkeys([*has, *had]) if had.get(key) != has.get(key)
    ]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """By their dotted keys; what is not there has none."""
    if isinstance(value, msgspec.Struct):
        for key in value.__struct_fields__:
            inner = path if key == "chat" else f"{path}.{key}".lstrip(".")  # what a chat agent is stands with the rest
            yield from _leaves(getattr(value, key), inner)
    elif (named := _texts(value)) is not None:
        for key, item in named.items():
            yield f"{path}.{key}".lstrip("."), item
    elif value is not None:
        yield path, value


def _said(key: str, before: Any, after: Any) -> str:
    key = key or "place"
    if key in SHOWN:
        return f"{key}: {before or 'none'} → {after or 'none'}"
    if all(value is None or isinstance(value, int | float) for value in (before, after)):
        return f"{key}: {_number(before)} → {_number(after)}"
    had, has = _names(before), _names(after)
    if had is not None and has is not None:
        new, gone = dict.fromkeys(has), dict.fromkeys(had)
        words = [f"+{item}" for item in new if item not in gone] + [f"-{item}" for item in gone if item not in new]
        more = [f"and {len(words) - NAMES_SHOWN} more"] if len(words) > NAMES_SHOWN else []
        return f"{key}: {' '.join([*words[:NAMES_SHOWN], *more]) or 'order'}"
    return key


def _texts(value: Any) -> dict[str, str] | None:
    """A mapping of texts; None for anything else."""
    items = cast("dict[str, Any]", value) if isinstance(value, dict) else None
    return items if items is not None and all(isinstance(item, str) for item in items.values()) else None


def _names(value: Any) -> list[str] | None:
    """A list of texts, which is empty where there is nothing; None for anything else."""
    if value is None:
        return []
    items: list[Any] | None = value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType]
    return items if items is not None and all(isinstance(item, str) for item in items) else None


def _number(value: float | None) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:.12g}"
