"""`journal`: its head, and whether it is sound."""

from __future__ import annotations

import json
import os
from pathlib import Path

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Enoent
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.digests import Keyring
from prytany.journal.verify import verify
from prytany.kernel.ledger import TENANT


def open_reader(home: Path) -> SqliteReader:
    """A view of the home's journal; raises Enoent when there is none."""
    path = home / "journal.db"
    if not path.exists():
        raise Enoent(f"there is no journal in {home}")
    return SqliteReader(path)


def show_head(home: Path) -> None:
    """Print number and hash of the last entry."""
    row = open_reader(home).head()
    print(f"{row.seq}:{row.hash.hex()}" if row else "0:")


def verify_home(home: Path, head: str, as_json: bool) -> int:
    """Print every finding; 0 when there is none, else 1."""
    reader = open_reader(home)
    keyring = Keyring.load((home / "keys").read_bytes(), os.urandom)
    anchor = _head(head) if head else read_anchor(home / "head")
    report = verify(reader, keyring, lambda record: [(TENANT, d) for d in ev.digests_of(record)], anchor=anchor)
    for finding in report.findings:
        print(json.dumps({"where": str(finding)}) if as_json else finding)
    if not as_json:
        print(f"{report.rows} entries: {'sound' if report.sound else 'DAMAGED'}")
    return 0 if report.sound else 1


def _head(text: str) -> Head:
    seq, _, digest = text.partition(":")
    try:
        return Head(int(seq), bytes.fromhex(digest))
    except ValueError:
        raise Einval(f"{text!r} is no head; `prytany journal head` prints one") from None
