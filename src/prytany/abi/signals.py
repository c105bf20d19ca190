"""Signals, under their POSIX names and numbers."""

from __future__ import annotations

from enum import IntEnum


class Signal(IntEnum):
    """What one process, or the operator, can tell another out of band."""

    INT = 2
    KILL = 9
    USR1 = 10
    USR2 = 12
    TERM = 15
    CHLD = 17
    CONT = 18
    STOP = 19
