"""A conversation whose kernel stops at every append, before and after it, is the conversation that was left alone."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.kernel.folding import fold
from prytany.kernel.state import ShardState
from tests.simulation.conversations import TalkingModel, chain_of, talking
from tests.simulation.fleet import Fleet

BEGINNING = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one"}]


def undisturbed() -> tuple[Fleet, Any]:
    fleet = talking("talker")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0, ended
    return fleet, ended["result"]


def prompts(fleet: Fleet) -> list[Any]:
    assert isinstance(fleet.model, TalkingModel)
    return fleet.model.prompts


def contexts(fleet: Fleet) -> ShardState:
    return fold(fleet.store.reader())[0]


def test_the_model_is_asked_all_that_was_said_and_a_prefix_never_changes() -> None:
    fleet, result = undisturbed()
    one, two, three, other, long = prompts(fleet)
    assert one == BEGINNING
    for earlier, later in ((one, two), (two, three), (two, long), (one, other)):
        # As they are sent: byte for byte, with the closing bracket left off.
        sent = msgspec.json.encode(earlier)[:-1]
        assert msgspec.json.encode(later)[: len(sent)] == sent
    assert two[2:] == [
        {"role": "assistant", "content": "2 messages to one"},
        {"role": "user", "content": "from the web"},
        {"role": "user", "content": "two"},
    ]
    assert three[:5] == two
    assert long[:5] == two
    assert other == [*two[:3], {"role": "user", "content": "other"}]
    assert result["said"][1] == "5 messages to two"
    assert len(set(result["nodes"])) == 3


def test_what_is_read_says_who_said_it_and_under_which_labels() -> None:
    _, result = undisturbed()
    read = result["read"]["talk"]
    assert [(m[0], m[3], m[4], m[5]) for m in read[:5]] == [
        ("system", "agent:1", 0, []),
        ("user", "agent:1", 0, []),
        ("assistant", "model:counting", 0, []),
        ("user", "tool:web", 1, ["untrusted"]),
        ("user", "agent:1", 0, []),
    ]
    assert read[-1][2] == result["nodes"][0]
    assert [m[2] for m in result["read"]["past"][:3]] == [m[2] for m in read[:3]]
    assert result["read"]["past"][-1][2] == result["nodes"][2]


def test_labels_of_a_context_are_all_that_lead_to_its_head() -> None:
    fleet, _ = undisturbed()
    heads = contexts(fleet).contexts.owned[1].heads
    assert {number: head.labels for number, head in heads.items()} == {
        1: ["public", "untrusted"],
        2: ["public", "untrusted"],
        3: ["public"],
    }


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_leaves_the_same_chain(after_commit: bool) -> None:
    whole, result = undisturbed()
    wanted, asked = chain_of(whole), prompts(whole)
    length = whole.store.reader().head()
    assert length is not None
    for stop_at in range(2, length.seq + 1):
        fleet = talking("talker")
        asyncio.run(fleet.live(stop_at, after_commit=after_commit))
        answered, before = len(chain_of(fleet)), len(prompts(fleet))
        durable = list(fleet.store.reader().rows(1))
        ended = asyncio.run(fleet.live())
        assert ended is not None, f"stopped at {stop_at}"
        assert ended["result"] == result, f"stopped at {stop_at}"
        assert list(fleet.store.reader().rows(1))[: len(durable)] == durable
        assert chain_of(fleet) == wanted, f"stopped at {stop_at}"
        # At most one question had no durable answer; it alone is asked again, and in the same words.
        again = prompts(fleet)
        assert len(again) - len(asked) in (0, 1), f"stopped at {stop_at}"
        repeated = again[:before] + again[before + 1 :] if len(again) > len(asked) else again
        assert repeated == asked, f"stopped at {stop_at}"
        assert answered <= len(wanted)
        assert contexts(fleet).contexts == contexts(whole).contexts or _places_aside(fleet) == _places_aside(whole)


def _places_aside(fleet: Fleet) -> list[tuple[int, bytes, int, int, list[str]]]:
    """A kernel that started once more wrote an entry more: the places differ, and nothing else."""
    heads = contexts(fleet).contexts.owned[1].heads
    return [(number, h.node, h.length, h.size, h.labels) for number, h in heads.items()]


def test_a_kernel_that_holds_nothing_asks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, result = undisturbed()
    monkeypatch.setattr(limits, "CONTEXT_CACHE_BYTES", 0)
    fleet = talking("talker")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == result
    assert prompts(fleet) == prompts(whole)


def test_a_question_that_failed_and_is_asked_again_is_in_the_chain_once() -> None:
    fleet = talking("failing")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    before, after, length = ended["result"]
    assert before != after
    assert length == 4
    first, second = prompts(fleet)[1:]
    assert first == second
    asked = [e.nodes[0].node for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ContextAsked)]
    assert asked[1] == asked[2]
    assert len({node for _, nodes in chain_of(fleet) for node in nodes}) == 4


def test_a_context_is_busy_while_it_is_asked_and_a_cancelled_question_leaves_no_trace_in_it() -> None:
    fleet = talking("cancelling")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0, ended
    assert ended["result"] == ["EBUSY", "EBUSY", "EBUSY", 2, "ECANCELED", "3 messages to after", 4]


def test_nobody_else_has_a_name_for_a_context() -> None:
    fleet = talking("victim")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == [["ENOENT"] * 5, 2]
    assert list(contexts(fleet).contexts.owned) == [1]
