"""The form of the state that a base holds, and how older forms are read.

A snapshot is a cache, and of no use to another version of the fold. A base has to be read by every later version, so
its state has a form with a number, and rules that are kept by a test (`tests/unit/kernel/test_base_form.py`):

- what the state holds grows at the ends of its records, by fields whose defaults are right for what an older version
  never saw: the form stays;
- anything else (a field that goes, moves or means something else; one that has to be worked out of older events) is a
  new form, with a function here that gives it from the one before.

Where that function cannot be written, since only the entries know, there is none; then a home with a base of the older
form is opened after `prytany journal rebase`, which folds the archives anew. That is why archives are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from prytany.abi.errors import Eio
from prytany.abi.wire import UNREADABLE
from prytany.ports.store import Base

T = TypeVar("T")

FORM = 1
UPCASTERS: dict[int, Callable[[Any], Any]] = {}
"""From a form's number to a function that gives the next form, both as plain maps and arrays."""


def read_state(base: Base, kind: type[T]) -> T:
    """The state that `base` holds, in today's form.

    Raises:
        Eio: it is of a newer form, of an older one that this version cannot read without the archives, or damaged.
    """
    if base.form > FORM:
        raise Eio(
            f"the journal begins with a state of form {base.form}, and this version knows forms up to {FORM}: it was"
            " written by a newer prytany",
            detail={"form": base.form, "known": FORM},
        )
    try:
        if base.form == FORM:
            return msgspec.msgpack.decode(base.state, type=kind)
        state = msgspec.msgpack.decode(base.state, strict=False)
        for form in range(base.form, FORM):
            if (upcast := UPCASTERS.get(form)) is None:
                raise Eio(
                    f"the journal begins with a state of form {base.form}, which this version cannot read without the"
                    f" entries: `prytany journal rebase --archive FILE` folds those up to {base.last} anew",
                    detail={"form": base.form, "known": FORM},
                )
            state = upcast(state)
        return msgspec.convert(state, kind)
    except UNREADABLE as error:
        raise Eio(f"the state that the journal begins with cannot be read by this version: {error}") from None
