"""Text of agents, models and tools, made safe for a terminal."""

from __future__ import annotations


def safe(text: str, *, lines: bool = False) -> str:
    """`text` with every control and format character shown as an escape; line ends are kept where `lines` says so."""
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)
