"""The garbage collector's part in what a call costs.

Python's collector looks at what was made lately, and from time to time at everything. By its defaults it looks after
700 new objects: fewer than are in flight between a call and its fsync. So they are taken for long-lived, and each few
ten thousand calls the whole process table is walked again: half of a call's cost at 10,000 processes
(`benchmarks/scaling`). With a first generation that is larger than what is in flight, that does not happen, and what
refers to itself is still found.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 20_000
"""Made before the collector looks: some 3,000 calls in flight. A look takes about 15 ms if all of them live on."""


def look_less_often() -> None:
    """Set it for this process, unless it looks even less often, or not at all."""
    first, second, third = gc.get_threshold()
    if 0 < first < NEW_OBJECTS:
        gc.set_threshold(NEW_OBJECTS, max(second, 20), third)
