"""Classes of service, for model calls and for the processor.

They are Grand Central Dispatch's: *interactive* is what a person waits for, *initiated* what a person asked for and
will come back to, *utility* what goes on beside that, *background* what nobody looks at.

Source: Apple, "Energy Efficiency Guide": Quality of Service Classes.
"""

from __future__ import annotations

from enum import IntEnum

WEIGHT_MAX = 1_000
"""Of an agent's share; 1 is the least."""


class Qos(IntEnum):
    """Classes of service, the most urgent first."""

    INTERACTIVE = 0
    INITIATED = 1
    UTILITY = 2
    BACKGROUND = 3


QOS = {qos.name.lower(): qos for qos in Qos}
"""By the names that people write."""
