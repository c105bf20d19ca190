"""Budgets as people write and read them: `tokens=10000`, `usd=1.5`, `calls=20`, `wall=10m`, and `tokens/min=5000`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from prytany.abi.budgets import AMOUNT_MAX, KEPT, KINDS, NONE, Bounds, Budget
from prytany.abi.errors import Einval, KernelError
from prytany.cli.attached import duration
from prytany.cli.failure import advised
from prytany.cli.moments import length_ms
from prytany.cli.totals import money

UNLIMITED = "unlimited"
A_MINUTE = "/min"
FIELDS = {"tokens": "tokens", "usd": "usd_micros", "calls": "calls", "wall": "wall_ms", "processor": "processor_ms"}
KEYS = {key: field for key, field in FIELDS.items() if field in Bounds.__struct_fields__}
"""As people write them, to the names that bounds have."""
EXAMPLE = "write it as tokens=10000, usd=1.5, calls=20, wall=10m or processor=5m; a minute's as tokens/min=5000"
MICROS = 1_000_000


def read_bounds(texts: Sequence[str], option: str) -> Budget:
    """What `--set` or `--budget` say: `KEPT` where nothing is said, `NONE` where a bound is taken away.

    Raises:
        Einval: that is no budget, or something is said twice.
    """
    parts = _parts(texts)
    if parts == [UNLIMITED]:
        return Budget()
    total: dict[str, int] = {}
    minute: dict[str, int] = {}
    for part in parts:
        if part == UNLIMITED:
            raise advised(Einval(f"{option} {UNLIMITED} stands by itself"), EXAMPLE)
        name, value = _split(part, option)
        key = name.removesuffix(A_MINUTE)
        bounds = minute if name.endswith(A_MINUTE) else total
        if KEYS[key] in bounds:
            raise Einval(f"{option} {name} is said twice")
        bounds[KEYS[key]] = NONE if value == UNLIMITED else _amount(key, value, option)
    return Budget(_filled(total), _filled(minute))


def read_more(texts: Sequence[str]) -> Bounds:
    """What `--add` says. Raises Einval."""
    more: dict[str, int] = {}
    for part in _parts(texts):
        name, value = _split(part, "--add")
        if name.endswith(A_MINUTE):
            raise advised(Einval("what is bounded a minute is added to by itself"), "bound it anew, with --set")
        more[KEYS[name]] = more.get(KEYS[name], 0) + _amount(name, value, "--add")
    if not any(more.values()):
        raise advised(Einval("nothing is added"), EXAMPLE)
    if max(more.values()) > AMOUNT_MAX:
        raise Einval(f"that is more than {AMOUNT_MAX}")
    return Bounds(**more)


def words_of(total: Mapping[str, int], minute: Mapping[str, int]) -> str:
    """What is bounded, in words."""
    parts = [*_words(total, ""), *_words(minute, " a minute")]
    if not parts:
        return "what it likes: it is not bounded"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def amount_of(kind: str, value: int) -> str:
    """An amount, as a table has it."""
    if kind == "usd_micros":
        return money(value)
    return duration(value * 1_000_000) if kind.endswith("_ms") else f"{value:,}"


def bounds_of(bounds: Bounds) -> dict[str, int]:
    """What of it is a bound, by name."""
    return {key: value for key, value in msgspec.structs.asdict(bounds).items() if value >= 0}


def _words(bounds: Mapping[str, int], span: str) -> Iterator[str]:
    for kind, value in bounds.items():
        unit = {"tokens": " tokens", "calls": " calls of models", "processor_ms": " of processor"}.get(kind, "")
        yield f"{amount_of(kind, value)}{unit}{span}"


def _parts(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",")]


def _split(part: str, option: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    key = name.removesuffix(A_MINUTE)
    if not equals or key not in KEYS or (name != key and KEYS[key] not in KINDS):
        raise advised(Einval(f"{option} {part[:100]!r} is no amount of {', '.join(KEYS)}"), EXAMPLE)
    return name, value.strip()


def _amount(key: str, text: str, option: str) -> int:
    wrong = advised(Einval(f"{option} {key}={text[:100]!r} is no amount, or is too large"), EXAMPLE)
    if KEYS[key].endswith("_ms"):
        value = length_ms(text)
        if value is None:
            raise wrong
        return _within(value, wrong)
    if not (text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 20):
        raise wrong
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise wrong from None
    scaled = number * (MICROS if key == "usd" else 1)
    if key != "usd" and scaled != int(scaled):
        raise wrong
    return _within(int(scaled), wrong)


def _within(value: int, wrong: KernelError) -> int:
    if value > AMOUNT_MAX:
        raise wrong
    return value


def _filled(said: Mapping[str, int]) -> Bounds:
    return Bounds(**{key: said.get(key, KEPT) for key in Bounds.__struct_fields__})
