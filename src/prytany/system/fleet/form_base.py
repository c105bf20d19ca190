"""What all parts of the fleet file's form have in common."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"
Name = Annotated[str, Meta(pattern=NAME, max_length=64, description="letters, digits, `-` and `_`")]


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the file: a key that is not known is a fault."""
