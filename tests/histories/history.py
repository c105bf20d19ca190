"""Recorded journals as text. `python -m tests.histories.history HOME FILE NOTE` writes one down.

{"prytany": version, "note": text, "keys": hex}
{"seq": number, "hash": hex, "record": base64, "bodies": base64}
{"tenant": number, "digest": hex, "key_id": number, "content": base64}
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from prytany import __version__
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Anchor
from prytany.journal.home import Home
from prytany.ports.store import Body, Row


def write_down(home: Path, file: Path, note: str) -> None:
    """All of the journal in `home`, snapshots excepted: they are caches."""
    reader = SqliteReader(home / "journal.db")
    lines: list[dict[str, Any]] = [
        {"prytany": __version__, "note": note, "keys": (home / "keys").read_bytes().hex()},
    ]
    for row in reader.rows(1):
        packed = {"record": b64encode(row.record).decode(), "bodies": b64encode(row.bodies).decode()}
        lines.append({"seq": row.seq, "hash": row.hash.hex(), **packed})
    for body in reader.bodies():
        content = b64encode(body.content).decode()
        lines.append({"tenant": body.tenant, "digest": body.digest.hex(), "key_id": body.key_id, "content": content})
    reader.close()
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def restore(file: Path, place: Path) -> None:
    """A home at `place` that holds what `file` says."""
    first, *lines = [json.loads(line) for line in file.read_text().splitlines()]
    home = Home(place, create=True)
    home.keys.write_bytes(bytes.fromhex(first["keys"]))
    home.keys.chmod(0o600)
    rows = [
        Row(line["seq"], bytes.fromhex(line["hash"]), b64decode(line["record"]), b64decode(line["bodies"]))
        for line in lines
        if "seq" in line
    ]
    bodies = [
        Body(line["tenant"], bytes.fromhex(line["digest"]), line["key_id"], b64decode(line["content"]))
        for line in lines
        if "digest" in line
    ]
    store = SqliteStore(home.journal, reserve_bytes=0)
    store.commit(rows, bodies)
    store.close()
    anchor = Anchor(home.anchor)
    anchor.write(rows[-1].seq, rows[-1].hash)
    anchor.close()
    home.close()


if __name__ == "__main__":
    write_down(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
