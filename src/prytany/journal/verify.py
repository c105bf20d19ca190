"""Where a journal is damaged.

Every row is checked against the chain, every body against the digest that a record names, every snapshot against
its own digest and the chain, and the whole against the anchored head. Any one flipped byte in a record, hash, body
or snapshot is found. What a verification does not show is said in `anchor`.

It goes on after a fault, from the hash as stored, so that one fault does not hide the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from prytany.abi.errors import Eio
from prytany.journal.anchor import Head
from prytany.journal.bodies import unpack
from prytany.journal.chain import GENESIS, next_hash
from prytany.journal.digests import Keyring
from prytany.journal.snapshot import fault_of
from prytany.ports.store import Body, Reader, Row, StoreError

DigestsOf = Callable[[bytes], Iterable[tuple[int, bytes]]]
"""The (tenant, digest) pairs that a record names."""

Kind = Literal["unreadable", "gap", "chain", "body", "snapshot", "cut", "rewritten"]


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
    """Small bodies of tenants whose key was destroyed: nobody can check them any more."""
    anchored: bool = False
    """An anchored head was given, and the chain goes through it."""
    findings: list[Finding] = field(default_factory=lambda: list[Finding]())

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.findings


def chained(rows: Iterable[Row]) -> Iterator[tuple[Row, Finding | None]]:
    """Each row with what is wrong with it as the successor of the one before."""
    seq, hash_ = 0, GENESIS
    for row in rows:
        fault = None
        if row.seq != seq + 1:
            fault = Finding("gap", f"row {row.seq} follows row {seq}", row.seq)
        elif next_hash(hash_, row.record) != row.hash:
            fault = Finding(
                "chain", f"row {row.seq} does not follow: its record, its hash, or the hash before", row.seq
            )
        yield row, fault
        seq, hash_ = row.seq, row.hash


def sound_prefix(reader: Reader) -> int:
    """The number of the last row up to which the chain is sound; 0 when not even the first is."""
    seq = 0
    try:
        for row, fault in chained(reader.rows(1)):
            if fault is not None:
                break
            seq = row.seq
    except StoreError:
        pass  # what cannot be read is not sound
    return seq


def small_body_faults(row: Row, keyring: Keyring, digests_of: DigestsOf, report: Report | None = None) -> list[Finding]:
    """What is wrong with the bodies that are packed in `row`."""
    try:
        pairs = unpack(row.bodies)
    except Eio as error:
        return [Finding("body", error.message, row.seq)]
    if not pairs:
        return []
    try:
        tenants = {digest: tenant for tenant, digest in digests_of(row.record)}
    except Exception as error:  # not ours to know how a damaged record breaks its decoder
        return [Finding("body", f"row {row.seq} does not tell which bodies it names: {error}", row.seq)]
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


def _check_rows(reader: Reader, keyring: Keyring, digests_of: DigestsOf, anchor: Head | None, report: Report) -> None:
    intact, last, at_anchor = True, 0, None
    try:
        for row, fault in chained(reader.rows(1)):
            report.rows, last = report.rows + 1, row.seq
            if fault is not None:
                report.findings.append(fault)
                intact = False
            elif intact:
                report.sound_seq = row.seq
            if anchor is not None and row.seq == anchor.seq:
                at_anchor = row.hash
            report.findings += small_body_faults(row, keyring, digests_of, report)
    except StoreError as error:
        report.findings.append(Finding("unreadable", f"nothing can be read after row {last}: {error}", last + 1))
    if anchor is None or anchor.seq == 0:
        return
    if at_anchor is None:
        message = f"the anchored head is {anchor.seq} and the journal ends at {last}"
        report.findings.append(Finding("cut", message, last + 1))
    elif at_anchor != anchor.hash:
        message = f"row {anchor.seq} has another hash than was anchored: it, or something before it, was rewritten"
        report.findings.append(Finding("rewritten", message, anchor.seq))
    else:
        report.anchored = True


def verify(reader: Reader, keyring: Keyring, digests_of: DigestsOf, *, anchor: Head | None = None) -> Report:
    """Check everything that `reader` shows.

    Args:
        reader: a view of the journal.
        keyring: the keys of the digests.
        digests_of: which bodies a record names.
        anchor: a head that was durable once, from the second file or from paper.
    """
    report = Report()
    _check_rows(reader, keyring, digests_of, anchor, report)
    try:
        for body in reader.bodies():
            report.large_bodies += 1
            fault = large_body_fault(body, keyring)
            if fault is not None:
                report.findings.append(fault)
    except StoreError as error:
        report.findings.append(Finding("unreadable", f"not all large bodies can be read: {error}"))
    try:
        for snapshot in reader.snapshots():
            report.snapshots += 1
            wrong = fault_of(snapshot, reader)
            if wrong is not None:
                report.findings.append(Finding("snapshot", wrong, snapshot.seq))
    except StoreError as error:
        report.findings.append(Finding("unreadable", f"not all snapshots can be read: {error}"))
    return report
