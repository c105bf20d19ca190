"""What need not be asked of a model is seen: calls that wait for the answer of another, and answers that are kept."""

from __future__ import annotations

from pathlib import Path

import msgspec

from prytany.abi.control import SparedRow
from prytany.ports.model import ModelFeatures, ModelLimits, Prices
from tests.surfaces.shards import turns_until
from tests.surfaces.test_json import documented
from tests.surfaces.test_waiting import Held, Here, kinds, with_home


class Sparing(Held):
    """One whose calls need not all be made."""

    limits = ModelLimits(concurrency=1, coalesce=True, answers_bytes=50_000)

    @property
    def features(self) -> ModelFeatures:
        return msgspec.structs.replace(super().features, limits=self.limits, prices=Prices(1.0, 1.0))


async def spared(here: Here) -> SparedRow | None:
    (row,) = await here.client.queues()
    return row.spared


def test_twins_that_wait_and_answers_that_are_kept_are_shown_with_what_they_spared(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        first, second, third = (here.start("asks", "the same") for _ in range(3))
        await here.until(second, "waiting")
        await here.until(third, "waiting")
        assert await spared(here) == SparedRow(waiting=2, misses=3, answers_bytes_max=50_000)
        (row,) = await here.client.queues()
        assert sum(row.waiting.values()) == 0, "they stand in no queue"
        why = await here.client.why(third)
        assert kinds(why) == [(third, "model"), (first, "model")]
        assert f"the same call of process {first}" in why[0].text
        assert "2 more wait for the answer" in (await here.command("sched")).out

        here.model.let.set()
        texts = [await here.end(pid) for pid in (first, second, third)]
        assert texts == [texts[0]] * 3
        late = here.start("asks", "the same")
        assert await here.end(late) == texts[0]
        here.start("asks", "another")
        await turns_until(lambda: len(here.model.asked) == 2)
        assert here.model.asked == ["the same", "another"]

        now = await spared(here)
        assert now is not None
        assert (now.waiting, now.twins, now.hits, now.misses) == (0, 2, 1, 4)
        assert now.tokens > 0
        assert now.tokens % 3 == 0
        assert now.answers_bytes > 0
        shown = (await here.command("models", "queue")).out
        assert "of 50.0 kB" in shown
        assert f"{now.tokens:,}" in shown
        for command in (("models", "queue"), ("sched",)):
            (told,) = await here.rows(*command)
            assert told["spared"]["twins"] == 2
            assert told["spared"].keys() <= documented(" ".join(command))

    with_home(tmp_path / "home", body, Sparing())


def test_a_model_whose_operator_did_not_opt_in_has_nothing_of_it(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        here.model.let.set()
        await here.end(here.start("asks", "the same"))
        assert await spared(here) is None
        (told,) = await here.rows("models", "queue")
        assert told["spared"] is None
        assert "SPARED" not in (await here.command("models", "queue")).out

    with_home(tmp_path / "home", body)
