"""`cost`: what models and workers took, from the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from prytany.abi.errors import Einval
from prytany.abi.names import check_tags
from prytany.cli.attached import duration
from prytany.cli.bar import bar
from prytany.cli.failure import advised
from prytany.cli.moments import moment_ns
from prytany.cli.reader import note_archived, open_reader
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, say
from prytany.cli.totals import money
from prytany.drivers.clocks.system import SystemClock
from prytany.system.opening import store_errors
from prytany.system.spending import KEYS, Spent, spending

NUMBERS = ("CALLS", "FAILED", "TOKENS IN", "TOKENS OUT", "COST", "UNPRICED", "MODEL TIME", "QUEUED")


def show_cost(home: Path, by_text: str, since: str, as_json: bool, tag: str = "") -> None:
    """A line a group, dearest first, and the sum of all, of those with that tag alone where one is given. Raises
    Einval, Enoent, Eio."""
    by = _parts(by_text)
    check_tags([tag] if tag else [])
    total = Spent()
    since_ns = moment_ns(since, SystemClock().now_ns()) if since else 0
    with store_errors(), closing(open_reader(home)) as reader:
        head = reader.head()
        with bar("entries", head.seq if head else 0) as move:
            found = spending(reader, by, since_ns, move, tag, total)
        note_archived(reader, as_json)
    ordered = sorted(found.items(), key=lambda item: (-item[1].cost_usd_micros, -_tokens(item[1]), item[0]))
    if as_json:
        for key, spent in ordered:
            print(json_line({**dict(zip(by, key, strict=True)), **msgspec.structs.asdict(spent), "total": False}))
        print(json_line({**msgspec.structs.asdict(total), "total": True}))
        return
    _show(by, dict(ordered), total)


def _parts(text: str) -> list[str]:
    parts = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for part in parts:
        if part not in KEYS:
            raise advised(
                Einval(f"cost cannot be told apart by {part[:100]!r}"), f"name one or more of {','.join(KEYS)}"
            )
    return parts


def _tokens(spent: Spent) -> int:
    return spent.prompt_tokens + spent.completion_tokens


def _show(by: Sequence[str], found: Mapping[tuple[str | int, ...], Spent], total: Spent) -> None:
    if not found:
        say("no model was asked")
        _tell_processor(by, total)
        return
    columns = [Column(part.upper(), right=part == "run", long=part != "day") for part in by]
    columns += [Column(title, right=True) for title in NUMBERS]
    columns += [Column("PROCESSOR", right=True)] * ("model" not in by)  # it is of none
    lines = [
        Line([*(str(part) or "-" for part in key), *_numbers(spent)][: len(columns)]) for key, spent in found.items()
    ]
    if len(found) > 1:
        lines.append(Line(["all", *[""] * (len(by) - 1), *_numbers(total)][: len(columns)], "bold"))
    for line in table(columns, lines):
        print(line)
    _tell_processor(by, total)
    if total.unpriced:
        say(f"UNPRICED: {total.unpriced} attempts took tokens at a price that is not known, or was not recorded then")
    if "tag" in by and sum(spent.calls + spent.failed for spent in found.values()) > total.calls + total.failed:
        say("who has several tags counts under each of them, and once in all")
    if total.unanswered_tokens:
        lost = f"{total.unanswered_tokens:,} tokens and {money(total.unanswered_usd_micros)}"
        say(f"{lost} of it are of attempts without an answer, at the most that they may have taken")
    if total.estimated:
        say(f"the tokens of {total.estimated} attempts are an estimate: the endpoint did not tell them")


def _tell_processor(by: Sequence[str], total: Spent) -> None:
    if total.processor_us and "model" in by:
        say(f"workers took {duration(total.processor_us * 1000)} of the processor")


def _numbers(spent: Spent) -> list[str]:
    tokens = f"{spent.prompt_tokens:,}", f"{spent.completion_tokens:,}"
    cost = "?" if spent.unpriced and not spent.cost_usd_micros else money(spent.cost_usd_micros)
    times = duration(spent.model_us * 1000), duration(spent.queued_us * 1000), duration(spent.processor_us * 1000)
    return [str(spent.calls), str(spent.failed), *tokens, cost, str(spent.unpriced), *times]
