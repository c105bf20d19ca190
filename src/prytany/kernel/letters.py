"""What a notice says: kinds, counts, pids, names, and how to look. Nothing that an agent, a model or a tool said.

A name can be chosen by a program: it is cut, and what does not print is written as an escape. The text is made from
what the journal holds of the notice and from where its home lies, so that each attempt sends the same bytes.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import msgspec

from prytany.abi import limits, notices
from prytany.abi.events import Subject
from prytany.ports.courier import Letter
from prytany.supervision.channels import Notice

VERSION = 1
LOOK = {
    notices.DOUBT: "prytany incidents",
    notices.INCIDENT: "prytany incidents",
    notices.FAILURE: "prytany ps",
    notices.STORM: "prytany ps",
    notices.LIMIT: "prytany status",
    notices.BUDGET: "prytany cost",
    notices.TEST: "prytany notify",
}
WORDS = {
    notices.DOUBT: "an effect is in doubt",
    notices.INCIDENT: "something needs a person",
    notices.FAILURE: "a process has failed for good",
    notices.STORM: "processes fail again and again",
    notices.LIMIT: "a limit is reached or near",
    notices.BUDGET: "a budget runs out",
    notices.TEST: "this is a test",
}


def shown_name(name: str) -> str:
    """A name as people can be shown it."""
    escaped = _escaped(name)
    return escaped if len(escaped) <= limits.NOTICE_NAME_CHARS_MAX else f"{escaped[: limits.NOTICE_NAME_CHARS_MAX]}…"


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def letter(notice: Notice, fleet: str, home: str = "") -> Letter:
    """The notice of that fleet, as it leaves; whoever reads it, wherever, looks at that home."""
    look = LOOK.get(notice.kind, "prytany status") + (f" --home {_escaped(shlex.quote(home))}" if home else "")
    return Letter(notice.id, msgspec.json.encode({
        "version": VERSION,
        "id": notice.id,
        "notice": notice.number,
        "kind": notice.kind,
        "fleet": fleet,
        "count": notice.count,
        "since": _moment(notice.since_ns),
        "opened": _moment(notice.opened_ns),
        "about": [
            {"pid": s.pid, "name": s.name, "agent": s.agent, "what": s.what, "n": s.n} for s in notice.about
        ],
        "look": look,
        "text": _text(notice, fleet, look),
    }))  # fmt: skip


def trial(label: str, fleet: str, id: str, now_ns: int, home: str = "") -> Letter:
    """A notice that tries a channel of a fleet; it is about nothing."""
    about = Subject(0, f"sent by `prytany notify test` to {label}")
    return letter(Notice(0, notices.TEST, 1, now_ns, [about], id, now_ns, 0), fleet, home)


def _text(notice: Notice, fleet: str, look: str) -> str:
    """One line for people; receivers that only show a `text` show this."""
    first = notice.about[0] if notice.about else Subject(0, "")
    who = f" at {first.name or first.agent}" if first.name or first.agent else ""
    which = f" (process {first.pid})" if first.pid else ""
    more = f", and {notice.count - 1} more" if notice.count > 1 else ""
    said = WORDS.get(notice.kind, notice.kind)
    return f"Prytany, fleet {fleet}: {said}: {first.what}{who}{which}{more}. Look with: {look}"


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
