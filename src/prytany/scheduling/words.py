"""Lengths of time, in the words of whoever says why a call is next."""

from __future__ import annotations


def span(ns: int) -> str:
    """A length of time, for people."""
    seconds = max(0, ns) / 1e9
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
