"""A file for what is read again at once: in memory, since a machine may give a kernel no other place than its home."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import IO


def scratch_file() -> IO[bytes]:
    """An open file without a name, to write and to read; it goes when it is closed."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("prytany"), "w+b")
    return tempfile.TemporaryFile()
