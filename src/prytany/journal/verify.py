"""Where a journal is damaged.

Every row is checked against the chain, every body against the digest that a record names, every snapshot against
its own digest and the chain, and the whole against the anchored head. Any one flipped byte in a record, hash, body
or snapshot is found, and so is content that a record names and that is neither there nor recorded as forgotten. What a
verification does not show is said in `anchor`.

It goes on after a fault, from the hash as stored, so that one fault does not hide the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from prytany.abi.errors import Eio
from prytany.journal.anchor import Head
from prytany.journal.base import BEGINNING, placed
from prytany.journal.bodies import unpack
from prytany.journal.content import ReadRecord, Sought
from prytany.journal.digests import Keyring
from prytany.journal.snapshot import fault_of
from prytany.ports.store import Base, Body, Reader, Row, StoreError

Kind = Literal["unreadable", "base", "archived", "gap", "chain", "body", "missing", "snapshot", "cut", "rewritten"]

FINDINGS_KEPT = 10_000
"""In a report; more are counted and told, and not kept."""
PROGRESS_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, and where."""

    kind: Kind
    message: str
    seq: int = 0
    """Of the row or snapshot; 0 where there is none."""
    digest: bytes = b""
    """Of the body; empty where there is none."""


@dataclass(slots=True)
class Report:
    """What was checked and found."""

    rows: int = 0
    small_bodies: int = 0
    large_bodies: int = 0
    snapshots: int = 0
    sound_seq: int = 0
    """Every row up to this one is sound in itself and in its place."""
    forgotten: int = 0
    """Content that is recorded as forgotten, and small bodies of tenants whose key was destroyed."""
    archived: int = 0
    """Entries up to this one are in an archive, which was not looked at."""
    anchored: bool = False
    """An anchored head was given, and the chain goes through it."""
    findings: list[Finding] = field(default_factory=lambda: list[Finding]())
    found: int = 0
    """How many findings there were."""
    tell: Callable[[Finding], None] = lambda finding: None
    """Told of each at once."""

    def add(self, *findings: Finding) -> None:
        """Take note of what was found."""
        for finding in findings:
            self.found += 1
            if self.found <= FINDINGS_KEPT:
                self.findings.append(finding)
            self.tell(finding)

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.found


def chained(
    rows: Iterable[Row], base: Base | None = None, begins: Head = BEGINNING
) -> Iterator[tuple[Row, Finding | None]]:
    """Each row with what is wrong with it as the successor of the one before; as `journal.base.placed`."""
    for row, fault, gap in placed(rows, base, begins):
        yield row, Finding("gap" if gap else "chain", fault, row.seq) if fault else None


def sound_prefix(reader: Reader) -> int:
    """The number of the last row up to which the chain is sound; 0 when not even the first is."""
    seq = 0
    try:
        for row, fault in chained(reader.rows(1), reader.base()):
            if fault is not None:
                break
            seq = row.seq
    except (StoreError, Eio):
        pass  # what cannot be read is not sound
    return seq


def small_body_faults(
    row: Row, keyring: Keyring, read: ReadRecord, report: Report | None = None, sought: Sought | None = None
) -> list[Finding]:
    """What is wrong with the bodies that are packed in `row`; what it names and does not hold is then `sought`."""
    try:
        pairs = unpack(row.bodies)
    except Eio as error:
        return [Finding("body", error.message, row.seq)]
    if not pairs and sought is None:
        return []
    try:
        said = read(row.record)
    except Exception as error:  # not ours to know how a damaged record breaks its decoder
        return [Finding("body", f"row {row.seq} does not tell which bodies it names: {error}", row.seq)]
    if sought is not None:
        sought.named(row, said)
    tenants = {digest: tenant for tenant, digest, _ in said.names}
    faults: list[Finding] = []
    for digest, content in pairs:
        tenant = tenants.get(digest)
        if report is not None:
            report.small_bodies += 1
        if tenant is None:
            faults.append(Finding("body", f"row {row.seq} holds a body that its record does not name", row.seq, digest))
        elif keyring.key_id(tenant) is None:
            if report is not None:
                report.forgotten += 1
        elif keyring.digest(tenant, content) != digest:
            faults.append(Finding("body", f"a body in row {row.seq} is not what was digested", row.seq, digest))
    return faults


def large_body_fault(body: Body, keyring: Keyring) -> Finding | None:
    """What is wrong with a body that has a row of its own."""
    if keyring.key_id(body.tenant) != body.key_id:
        return Finding("body", f"tenant {body.tenant} has no key {body.key_id}", digest=body.digest)
    if keyring.digest(body.tenant, body.content) != body.digest:
        return Finding("body", "a large body is not what was digested", digest=body.digest)
    return None


def _check_rows(
    reader: Reader, keyring: Keyring, read: ReadRecord, anchor: Head | None, report: Report, sought: Sought,
    progress: Callable[[int], None], begins: Head,
) -> None:  # fmt: skip
    intact, last, at_anchor = True, 0, None
    if anchor is not None and anchor.seq and anchor.seq == begins.seq:
        at_anchor = begins.hash
    try:
        base = reader.base()
        if base is not None:
            report.archived = base.last
            at_anchor = base.last_hash if anchor is not None and anchor.seq == base.last else None
        for row, fault in chained(reader.rows(1), base, begins):
            report.rows, last = report.rows + 1, row.seq
            if not report.rows % PROGRESS_ROWS:
                progress(row.seq)
            if fault is not None:
                report.add(fault)
                intact = False
            elif intact:
                report.sound_seq = row.seq
            if anchor is not None and row.seq == anchor.seq:
                at_anchor = row.hash
            report.add(*small_body_faults(row, keyring, read, report, sought))
    except StoreError as error:
        report.add(Finding("unreadable", f"nothing can be read after row {last}: {error}", last + 1))
    except Eio as error:
        report.add(Finding("base", error.message))
    if anchor is None or anchor.seq == 0:
        return
    if at_anchor is None and anchor.seq <= max(report.archived, begins.seq):
        message = f"the head to look for is entry {anchor.seq}, which is in an archive: name that with --archive"
        report.add(Finding("archived", message, anchor.seq))
    elif at_anchor is None:
        message = f"the anchored head is {anchor.seq} and the journal ends at {last}"
        report.add(Finding("cut", message, last + 1))
    elif at_anchor != anchor.hash:
        message = f"row {anchor.seq} has another hash than was anchored: it, or something before it, was rewritten"
        report.add(Finding("rewritten", message, anchor.seq))
    else:
        report.anchored = True


def _check_missing(reader: Reader, keyring: Keyring, report: Report, sought: Sought) -> None:
    report.forgotten += sought.drop_forgotten(lambda tenant: keyring.key_id(tenant) is None)
    with suppress(StoreError):  # found before
        sought.look_into(reader.rows(1))
    for seq, digest in sought.left():
        message = f"content that row {seq} names is neither there nor recorded as forgotten"
        report.add(Finding("missing", message, seq, digest))


def verify(
    reader: Reader, keyring: Keyring, read: ReadRecord, *, anchor: Head | None = None,
    tell: Callable[[Finding], None] = lambda finding: None, progress: Callable[[int], None] = lambda seq: None,
    begins: Head = BEGINNING,
) -> Report:  # fmt: skip
    """Check everything that `reader` shows.

    Args:
        reader: a view of the journal.
        keyring: the keys of the digests.
        read: what a record says of content.
        anchor: a head that was durable once, from the second file or from paper.
        tell: told of each finding as it is made.
        progress: told now and then of the last row that was looked at.
        begins: the entry before the first row, of an archive that goes on from another.
    """
    report, sought = Report(tell=tell), Sought()
    _check_rows(reader, keyring, read, anchor, report, sought, progress, begins)
    try:
        for body in reader.bodies():
            report.large_bodies += 1
            sought.found(body.tenant, body.digest)
            fault = large_body_fault(body, keyring)
            if fault is not None:
                report.add(fault)
    except StoreError as error:
        report.add(Finding("unreadable", f"not all large bodies can be read: {error}"))
    _check_missing(reader, keyring, report, sought)
    try:
        for snapshot in reader.snapshots():
            report.snapshots += 1
            wrong = fault_of(snapshot, reader)
            if wrong is not None:
                report.add(Finding("snapshot", wrong, snapshot.seq))
    except StoreError as error:
        report.add(Finding("unreadable", f"not all snapshots can be read: {error}"))
    return report
