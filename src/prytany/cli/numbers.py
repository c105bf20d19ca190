"""Numbers of calls, as people read and write them."""

from __future__ import annotations


def shown_number(n: int) -> str:
    """How people read the number of what needs a person: `4`, or `@57` for a call that nobody waits for any more."""
    return str(n) if n >= 0 else f"@{-n}"


def read_number(text: str) -> int:
    """The number that a person wrote; raises ValueError when it is none."""
    digits = text.removeprefix("@")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
        raise ValueError(f"{text!r} is not the number of a call, as `incidents` shows it")
    return int(digits) if digits == text else -int(digits)
