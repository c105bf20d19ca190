"""What was asked before: a kernel that comes back keeps to the limits that the one before it had used up."""

from __future__ import annotations

import msgspec

from prytany.scheduling.asked import Asked
from prytany.scheduling.call import Call
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import RunQueue
from prytany.testing.limiters import MINUTE_NS, SlidingWindow

SECOND_NS = 1_000_000_000


def test_a_kernel_that_comes_back_trips_no_window_that_the_one_before_it_filled() -> None:
    asked, limiter, now_ns = Asked(), SlidingWindow(100), 1_000 * SECOND_NS
    for _ in range(90):
        limiter.take(1, now_ns)
        now_ns += SECOND_NS // 4
        asked.used("a", 10, now_ns)
    asked = msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=Asked)
    queue = RunQueue(Limits(0, 100))
    queue.rates.remember(asked.since("a", now_ns))
    for key in range(1, 60):
        queue.offer(Call(key, 1), now_ns)
    while sum(queue.waiting()):
        now_ns = queue.when(now_ns) or now_ns
        if (call := queue.next(now_ns)) is not None:
            queue.begin(call, now_ns)
            assert limiter.wait_ns(1, now_ns) == 0
            limiter.take(1, now_ns)


def test_it_holds_a_minute_of_each_endpoint_and_nothing_of_one_that_is_no_more() -> None:
    asked = Asked()
    for second in range(10_000):
        asked.used("a", 1, second * SECOND_NS)
    assert len(asked.endpoints["a"]) <= 62
    assert asked.since("a", 10_000 * SECOND_NS + MINUTE_NS * 2) == []
    assert asked.since("b", 0) == []
    asked.closed("a")
    assert asked.endpoints == {}
