"""Whatever comes up, whenever it is looked at: counts add up, and what is kept is bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.abi import events as ev
from prytany.abi import limits, notices
from prytany.supervision.channels import Channel

S = 1_000_000_000
KINDS = [notices.DOUBT, notices.STORM]


class Model:
    """A channel, and the entries that a kernel would write for it."""

    def __init__(self) -> None:
        self.channel = Channel(0, "x", list(KINDS), b"")
        self.now_ns = self.seq = self.notices = 0
        self.came_up = self.delivered = self.given_up = self.dropped = 0
        self.times: dict[str, list[int]] = {kind: [] for kind in KINDS}

    def hear(self, kind: str, count: int) -> None:
        for n in range(count):
            assert self.channel.hear(kind, self.now_ns, ev.Subject(n, "x"))
        self.came_up += count

    def look(self) -> None:
        for due in list(self.channel.openings(self.now_ns)):
            self.notices += 1
            self.seq += 1
            self.times[due.kind].append(self.now_ns)
            assert 0 < len(due.about) <= min(due.count, limits.NOTICES_A_PERIOD)
            self.channel.opened(self.seq, self.now_ns, ev.NoticeOpened(
                self.notices, 1, 0, due.kind, due.count, due.since_ns, due.about, "id", due.until_ns, due.left,
            ))  # fmt: skip

    def attempt(self, outcome: str) -> None:
        notice = self.channel.due(self.now_ns, self.seq)
        if notice is None:
            return
        self.seq += 1
        if outcome == "delivered":
            self.delivered += self.channel.waiting.pop(notice.number).count
        elif outcome == "dropped":
            self.dropped += notice.count
            self.channel.dropped(notice.number)
        else:
            until_ns = self.now_ns + S if outcome == "missed" else 0
            before = self.channel.forgotten
            oldest = next(iter(self.channel.given_up.values()), None)
            self.channel.missed(self.seq, ev.NoticeMissed(notice.number, 1, 0, 1, "no", until_ns))
            if self.channel.forgotten > before and oldest is not None:
                self.dropped += oldest.count

    def check(self) -> None:
        c = self.channel
        assert len(c.waiting) <= limits.NOTICES_WAITING_MAX
        assert len(c.given_up) <= limits.NOTICES_GIVEN_UP_MAX
        assert all(len(tally.about) <= limits.NOTICES_A_PERIOD for tally in c.tallies.values())
        kept = [notice.count for notice in (*c.waiting.values(), *c.given_up.values())]
        assert sum(kept) + sum(t.count for t in c.tallies.values()) + self.delivered + self.dropped == self.came_up
        assert c.busy == bool(c.tallies or c.waiting)
        for times in self.times.values():
            within = [at for at in times if at > self.now_ns - limits.NOTICE_PERIOD_MS * 1_000_000]
            assert len(within) <= 2 * limits.NOTICES_A_PERIOD + 1
        if (next_ns := c.next_ns()) is not None and not c.due(self.now_ns, self.seq):
            assert next_ns > self.now_ns, "whoever waits for that time would look again at once, for ever"


STEPS = st.one_of(
    st.tuples(st.just("hear"), st.sampled_from(KINDS), st.integers(1, 300)),
    st.tuples(st.just("pass"), st.just(""), st.integers(1, 90)),
    st.tuples(st.just("try"), st.sampled_from(["delivered", "missed", "given up", "dropped"]), st.integers(1, 60)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_counts_add_up_and_everything_is_bounded(steps: list[tuple[str, str, int]]) -> None:
    model = Model()
    for what, which, count in steps:
        match what:
            case "hear":
                model.hear(which, count)
            case "pass":
                model.now_ns += count * S
            case _:
                for _ in range(count):
                    model.attempt(which)
        model.look()
        model.check()
    for _ in range(1_000):  # everybody listens, and time passes
        model.now_ns += limits.NOTICE_PERIOD_MS * 1_000_000
        model.look()
        while model.channel.due(model.now_ns, model.seq):
            model.attempt("delivered")
        if not model.channel.busy:
            break
    model.check()
    assert not model.channel.busy


def test_what_nobody_wants_to_hear_of_is_not_kept() -> None:
    channel = Channel(0, "x", [notices.DOUBT], b"")
    assert not channel.hear(notices.FAILURE, 1, ev.Subject(1, "x"))
    assert not channel.busy
