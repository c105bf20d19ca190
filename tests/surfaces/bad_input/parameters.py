"""What each parameter of each command is, and what a careless or hostile person gives for it.

A parameter that is not named here fails the sweep: who adds one says what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

HUGE = "x" * 1_000_000
ESCAPES = "\x1b[31m\x1b]52;c;aGk=\x07\x1b]8;;http://x\x1b\\\x9b2J\x85\u202e\u2066\u200b\u2028"
"""Colour, the clipboard, a link, C1 codes, turns of direction, no width, and a line's end that is none to most."""
HALF = "\udcff"
"""As Python has a byte of the command line that is no UTF-8."""
TEXTS = (HUGE, ESCAPES, HALF, "two\nlines", "-", "--", "%s{0}$HOME", "'\"\\", "nul\x00", "--json")
PLACES = (
    "", ".", "..", "/", "~nobody/x", "folder", "fifo", "socket", "binary", "loop", "closed", "program.py/x",
    "nowhere/x", "/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem", "a" * 300,
    "/".join(["a" * 200] * 30), *TEXTS,
)  # fmt: skip
"""Names of what is no such file as is wanted; those without a `/` lie in the folder of the test."""


class Kind(NamedTuple):
    """What a parameter is: a value that commands take, those that none may take, and those that harm nobody."""

    good: str
    bad: Sequence[str] = ()
    odd: Sequence[str] = ()


NO_PIDS = ("", "0", "-1", "1" + "0" * 30, "9" * 5_000, "x", "1.5.2", "²", "٣", "1 ", "0x1", "1_0", "1e3", "1.2", "7")
PID = Kind("1", (*NO_PIDS, *TEXTS))
CALL = Kind("1", ("", "-1", "1" + "0" * 30, "x", "²", "@", "@-1", "7", *TEXTS))
WHEN = Kind("1h", ("soon", "1y", "-1h", "9" * 30 + "h", "2026-13-01", "²h", "T", *TEXTS), ("0s", "9999-12-31"))
COUNT = Kind("1", ("", "x", "-1", "1.5", "²", "1e3", *TEXTS), ("0", "9" * 30))
OF_CLASSES = Kind(
    "background=1",
    ("", "background", "=1", "idle=1", "background=x", "background=-1", "utility=1.5", "Background=1", "utility=1=2",
     "utility=²", *TEXTS),
    ("background=0", "utility=" + "9" * 30),
)  # fmt: skip
PLACES_AT_ONCE = Kind("1", ("", "x", "0", "-1", "1.5", "²", *TEXTS))
SECONDS = Kind("1", ("x", "-1", "nan", "inf", "-inf", "1s", *TEXTS), ("0",))
NO_AMOUNTS = (
    "", "tokens", "tokens=", "=1", "tokens=-1", "tokens=1e9", "tokens=1.5", "tokens=²", "usd=nan", "usd=inf", "usd=1,5",
    "gold=1", "wall=1", "wall=1y", "wall/min=1s", "tokens=" + "9" * 30, "tokens=1,", "tokens/h=1", "calls=0x1",
    "tokens = 1", "tokens=1_0", "usd=" + "0" * 50, *(f"tokens={text}" for text in TEXTS),
)  # fmt: skip
AMOUNTS = Kind("tokens=1", (*NO_AMOUNTS, *TEXTS))
DURATION = Kind("1h", ("", "soon", "1y", "-1h", "9" * 30 + "h", "²h", "T", "0s", "1e3s", *TEXTS))
CHOICE = Kind("", ("", "nonsense", "RUNNING", *TEXTS))
HEAD = Kind("", ("1", "x", "1:", "1:" + "g" * 64, "-1:" + "0" * 64, "9" * 40 + ":" + "0" * 64, *TEXTS))
SIGNAL = Kind("CONT", ("", "0", "64", "-9", "BOOM", "SIG", *TEXTS))
TEXT = Kind("word", (), ("", *TEXTS))
PLACE = Kind("nowhere", (), PLACES)
WITHIN = Kind("made", (), tuple(place for place in PLACES if place not in ("", ".", "..") and place[:1] not in "/~"))
"""Where something is made, which it is not outside of the folder of the test."""
TARGET = Kind(
    "fleet.yaml", (), (*PLACES, *(f"{place}:main" for place in PLACES), *(f"{place}.yaml" for place in PLACES))
)
FOLDER = Kind("folder", ("nowhere", "program.py", "fifo", "loop", ESCAPES, HALF, HUGE), PLACES)
PAIR = Kind("a=1", ("", "a", "=1", "1=1", "a b=1", "ä-=1", HUGE, ESCAPES, HALF), tuple(f"a={text}" for text in TEXTS))
NAME = Kind("nobody", ("", "nobody", *TEXTS), ())
PYTHON = Kind("", ("nowhere", "folder", "fifo", "binary", "loop", *TEXTS))
TOPIC = Kind("a.b", ("", ".", "a..b", "a.", "*a", "a b", "x" * 129, ".".join("a" * 17), *TEXTS))
FIELD = Kind("a=1", ("", "a", "=1", HALF), (f"a={HUGE[:1000]}", "ä b=1"))
FLAG = Kind("")

EVERYWHERE = {"home": PLACE, "as_json": FLAG, "pid": PID, "pids": PID, "model": TEXT, "running": PLACES_AT_ONCE,
              "running_of": OF_CLASSES,
              "unconfined": FLAG, "trust": FLAG, "plain": FLAG, "follow": FLAG, "force": FLAG,
              "tags": Kind("night", ("", "-x", "1a", "a b", "ä", "a" * 65, *TEXTS)),
              "since": WHEN, "budgets": AMOUNTS,
              "drain": Kind("1", ("", "x", "-1", "1.5", "86401", "²", *TEXTS), ("0",))}  # fmt: skip
"""By name, where it is the same in all commands."""
PARAMETERS = {
    "run target": Kind("program.py:main", ("", "nowhere.py:main", "program.py", "program.py:", "program.py:no",
                                           "broken.py:main", ":main", "folder:main", *TEXTS), TARGET.odd),
    "run input": FOLDER, "run output": PLACE, "run unveil": FOLDER, "run arg": PAIR, "run tools": PLACE,
    "run python": PYTHON, "run entry": NAME, "run fleet": TARGET, "run pipefail": FLAG,
    "chat agent": NAME, "chat target": TARGET, "chat keep": FLAG, "chat say": TEXT, "chat user": TEXT,
    "chat grace": Kind("1", ("", *SECONDS.bad), ("0",)), "attach session": PID, "attach say": TEXT,
    "sessions every": FLAG, "sessions end numbers": PID, "cost tag": Kind("a", ("",), TEXTS),
    "ps wide": FLAG, "cost estimate": TARGET,
    "schedule qos": CHOICE, "schedule weight": Kind("2", ("", "0", "-1", "1001", "1.5", "x", "²", *TEXTS)),
    "schedule deadline": DURATION, "budget more": AMOUNTS, "budget bounds": AMOUNTS, "budget account": CHOICE,
    "budget every": FLAG,
    "ps tag": Kind("a", ("",), TEXTS),
    "journal archive copy": FLAG, "journal archive shrink": FLAG, "journal collect shrink": FLAG,
    "journal rebase archive": PLACE, "send wait": FLAG,
    "up keep_ended": Kind("1", ("x", "-1", "nan", "inf", "1d", "9" * 30, *TEXTS), ("0", "0.5")),
    "up target": TARGET, "up dry_run": FLAG, "down name": NAME,
    "fleet check target": TARGET, "fleet show target": TARGET, "fleet show resolved": FLAG,
    "ps run": PID, "ps state": CHOICE, "ps every": FLAG, "trace calls": NAME,
    "logs grep": Kind("a", ("(", "[z-a]", "(?P<a", "a{99999999999}", HUGE, "(" * 500), TEXTS), "logs lines": COUNT,
    "cost by": Kind("model", ("", "tags", "model,,day", *TEXTS)),
    "wait timeout": SECONDS, "kill signal": SIGNAL, "stop grace": SECONDS, "pause runs": PID, "unpause runs": PID,
    "freeze thaw": FLAG, "send type": TEXT, "send body": TEXT, "send text": FLAG, "upgrade target": NAME,
    "locks break name": NAME, "locks break scope": NAME, "shared name": NAME, "shared scope": TEXT,
    "incidents retry n": CALL, "incidents skip n": CALL, "incidents give n": CALL, "incidents give value": TEXT,
    "incidents give from_json": FLAG,
    "backup file": PLACE, "backup logs": FLAG, "backup verify": FLAG, "restore-home file": PLACE,
    "restore-home head": HEAD, "tools tools": PLACE, "journal verify head": HEAD, "journal verify archive": PLACE,
    "journal keep to": PLACE, "journal archive before": WHEN, "journal archive to": PLACE,
    "journal collect before": WHEN, "models list fleet": TARGET, "models check name": NAME,
    "models try name": Kind("nobody", ("nobody", *TEXTS)), "models try prompt": TEXT, "models try fleet": TARGET,
    "models try timeout": Kind("1", ("0", *SECONDS.bad)), "models remove name": NAME, "models remove yes": FLAG,
    "completion shell": CHOICE, "doctor docker": FLAG, "init folder": WITHIN, "service unit target": TARGET,
    "topics tail pattern": TOPIC,
    "topics tail since": Kind("start", ("", "0", "-1", *WHEN.bad), ("last", "1", *WHEN.odd)),
    "topics tail of": NAME, "publish topic": Kind("a.b", TOPIC.bad), "publish fields": FIELD, "publish of": NAME,
    "triggers on name": NAME, "triggers on of": NAME, "triggers off name": NAME, "triggers off of": NAME,
    "service unit user": FLAG, "notify test target": TARGET, "notify retry number": PID, "notify drop number": PID,
    "mail dead number": PID, "mail retry numbers": PID, "mail drop numbers": PID, "mail retry every": FLAG,
    "mail drop every": FLAG,
}  # fmt: skip
"""By command and name."""


def kind_of(command: str, parameter: str) -> Kind:
    """What it is; raises KeyError where nobody has said so."""
    own = PARAMETERS.get(f"{command} {parameter}")
    return own if own is not None else EVERYWHERE[parameter]
