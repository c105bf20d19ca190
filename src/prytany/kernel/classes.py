"""The class of service of a process, as the rooms that share the machine out see it: 0 is the most urgent."""

from __future__ import annotations

from prytany.process.process import Process
from prytany.scheduling.call import Qos

CLASSES = len(Qos)


def class_of(process: Process) -> int:
    """Its class; utility where nothing was said."""
    return int(getattr(process, "qos", Qos.UTILITY))
