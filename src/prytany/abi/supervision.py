"""Words and bounds of supervision, as calls, events and fleet files have them.

Source: supervisor(3), Erlang/OTP; the words mean what they mean there, but for what docs/manual/supervision.md says.
"""

from __future__ import annotations

from enum import StrEnum


class Strategy(StrEnum):
    """Who begins again with a child that failed."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    DYNAMIC = "dynamic"
    """As `one_for_one`, of many alike: they are ended all at once, and not one after the other."""


class Restart(StrEnum):
    """Which ends of a child are not for good."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class After(StrEnum):
    """What happens when the children that a supervisor ends have ended."""

    RELEASE = "release"
    """Those that are held begin again."""
    SELF = "self"
    """The supervisor's own program begins again."""
    FAIL = "fail"
    """The supervisor fails: too many restarts. Its program starts its children anew, where it begins again."""
    FAIL_HELD = "fail_held"
    """The same, of one that begins again with the children that it has: a group, or a `Server`."""
    TERM = "term"
    """The supervisor is told to end; a group ends."""
    HOLD = "hold"
    """The supervisor is to be held with its children: a sibling of it failed."""
    GONE = "gone"
    """Nothing: the supervisor has ended before."""


KEEPS = frozenset({After.RELEASE, After.FAIL_HELD, After.HOLD})
"""Children that are ended for these are held to begin again, but for temporary ones."""
GROUP = "group"
"""The kind of a process that has no program: it supervises, and that does the kernel."""
GROUP_WAIT = "group_wait"
"""What a group is shown to do."""
HELD_NS = 1 << 62
"""When a process begins again that waits for its siblings: not before its supervisor says so."""
INTENSITY = 5
"""Restarts of a supervisor's children within its period, by default; more than a message is tried at most."""
INTENSITY_MAX = 1_000
PERIOD_MS = 60_000
PERIOD_MS_MAX = 86_400_000
SHUTDOWN_MS = 5_000
"""That a child has between TERM and KILL, by default."""
SHUTDOWN_MS_MAX = 3_600_000
PROGRESS_MS_MIN = 1_000
PROGRESS_MS_MAX = 30 * 86_400_000
