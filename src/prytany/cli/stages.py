"""The stages of `run 'a | b'`: split and quoted as a shell does it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from prytany.abi.errors import Einval
from prytany.cli.failure import advised

STAGES_MAX = 64


class Written(NamedTuple):
    """One stage, as it was typed."""

    name: str
    words: Sequence[str]


def is_pipeline(target: str) -> bool:
    """Whether a target is several stages: it has a `|` outside of quotes, and is no file by that name."""
    return "|" in target and len(_parts(target)) > 1 and not os.path.lexists(target.rpartition(":")[0] or target)


def read_stages(target: str) -> list[Written]:
    """The stages. Raises Einval for one that is empty, quotes that do not end, and too many."""
    parts = _parts(target)
    if len(parts) > STAGES_MAX:
        raise Einval(f"{len(parts)} stages, and {STAGES_MAX} are the most")
    found: list[Written] = []
    for at, part in enumerate(parts, 1):
        try:
            words = shlex.split(part)
        except ValueError as error:
            raise advised(Einval(f"stage {at} cannot be read: {error}"), "quote it as for a shell") from None
        if not words or not words[0]:
            raise advised(
                Einval(f"stage {at} of {len(parts)} is empty"),
                "each is an agent and its arguments: 'research bees | write'",
            )
        found.append(Written(words[0], words[1:]))
    return found


def _parts(target: str) -> list[str]:
    """The text between `|` that are not quoted."""
    parts, quote, escaped = [""], "", False
    for c in target:
        if escaped:
            escaped = False
        elif c == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "|":
            parts.append("")
            continue
        parts[-1] += c
    return parts
