"""What a system call's row of the table says, and the record that its arguments decode to."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Argument(NamedTuple):
    """One argument; `type` is written as in an annotation, `default` is for callers of an older table."""

    name: str
    type: str
    meaning: str
    default: object = msgspec.NODEFAULT


class Syscall(NamedTuple):
    """One call."""

    name: str
    pledge: str
    """The class that a process must have pledged, or "" for what every process may."""
    arguments: tuple[Argument, ...]
    result: str
    errors: dict[str, str]
    """What it can end with, and why; beside the ones that any call can (`COMMON_ERRORS`)."""
    meaning: str
    since: str = "0.1"


_TYPES: dict[str, Any] = {
    "Any": Any,
    "bool": bool,
    "bytes": bytes,
    "bytes | None": bytes | None,
    "int": int,
    "str": str,
    "int | str": int | str,
    "list[Any]": list[Any],
    "list[str]": list[str],
    "list[str] | None": list[str] | None,
    "dict[str, Any]": dict[str, Any],
    "dict[str, int]": dict[str, int],
    "dict[str, Any] | None": dict[str, Any] | None,
    "list[dict[str, Any]]": list[dict[str, Any]],
}


def arguments_type(call: Syscall) -> type[msgspec.Struct]:
    """The array-like record that the arguments of `call` decode to; one argument too many is no form of it."""
    fields: list[Any] = []
    for a in call.arguments:
        if a.default is msgspec.NODEFAULT:
            fields.append((a.name, _TYPES[a.type]))
        elif isinstance(a.default, dict):
            fields.append((a.name, _TYPES[a.type], msgspec.field(default_factory=dict)))
        elif isinstance(a.default, list):
            fields.append((a.name, _TYPES[a.type], msgspec.field(default_factory=list)))
        else:
            fields.append((a.name, _TYPES[a.type], a.default))
    return msgspec.defstruct(call.name, fields, array_like=True, frozen=True, forbid_unknown_fields=True)
