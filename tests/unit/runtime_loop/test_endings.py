"""However a program ends, the kernel hears of it in one exit record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.runtime_loop.kernel_end import HERE, run


@pytest.mark.parametrize(
    ("how", "status", "result"),
    [
        ("returns", 0, {"sum": 3}),
        ("leaves", 3, None),
        ("leaves from a group", 4, None),
        ("sys.exit", 5, None),
        ("sys.exit(300)", 300 & 0xFF, None),
        ("sys.exit(-1)", 255, None),
        ("sys.exit(256)", 1, None),
        ("sys.exit(True)", 1, None),
        ("huge", 0, ["EINVAL", "one", [1]]),
        ("too many", 0, ["EAGAIN", 4096, 4096]),
        ("fills a frame", 0, "EAGAIN"),
    ],
)
def test_a_program_ends_with_a_status_and_a_result(how: str, status: int, result: Any) -> None:
    ended = run("endings.py", how)
    assert ended.ending == (status, result, None), ended.stderr
    assert ended.status == 0


@pytest.mark.parametrize(
    ("program", "args", "error_type"),
    [
        ("endings.py", ("raises",), "ValueError"),
        ("endings.py", ("raises kernel error",), "Edquot"),
        ("endings.py", ("raises what has no text",), "Mute"),
        ("endings.py", ("unsendable",), "Einval"),
        ("endings.py", (), "TypeError"),
        ("endings.py:synchronous", (), "Einval"),
        ("endings.py:missing", (), "Enoent"),
        ("missing.py", (), "Enoent"),
        ("missing_package.module:main", (), "Enoent"),
    ],
)
def test_a_failure_becomes_a_bounded_exit_record(program: str, args: tuple[Any, ...], error_type: str) -> None:
    status, result, error = run(program, *args).ending
    assert (status, result) == (1, None)
    assert error is not None
    assert error["type"] == error_type
    assert len(error["message"].encode()) <= 2 << 10
    assert len(error["traceback"].encode()) <= 8 << 10


def test_a_failure_says_no_address() -> None:
    error = run("endings.py", "address").ending[2]
    assert error is not None
    assert error["message"] == "about <object object at 0x…>"


def test_an_object_with_an_async_call_is_a_program() -> None:
    assert run("endings.py:agent").ending == (0, "called", None)


def test_a_module_is_a_program_as_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "programs"))
    assert run("endings:agent").ending == (0, "called", None)


def test_tasks_that_a_program_leaves_are_cancelled_in_their_order() -> None:
    ended = run("endings.py", "leftovers")
    assert ended.ending == (0, 3, None), ended.stderr
    assert ended.named("tidied") == [[0], [1], [2]]


@pytest.mark.parametrize("signum", [2, 15])
def test_term_and_int_cancel_the_program_and_give_it_time(signum: int) -> None:
    ended = run("signals.py", "dies", signum)
    name = "SIGINT" if signum == 2 else "SIGTERM"
    assert ended.ending == (128 + signum, None, {"type": name, "message": f"ended by {name}", "traceback": ""})
    assert ended.named("tidied") == [[]]


def test_a_program_may_catch_its_end_and_return() -> None:
    assert run("signals.py", "catches", 15).ending == (0, "tidy", None)


def test_a_program_may_handle_a_signal_itself() -> None:
    assert run("signals.py", "own handler", 15).ending == (0, ["heard"], None)


def test_a_cancelled_call_ends_when_the_kernel_says_so_and_keeps_a_late_result() -> None:
    ended = run("signals.py:late")
    early, kind, late = ended.ending[1]
    assert (early, kind) == (False, "CancelledError")
    assert any(late)
    assert None in late
    assert len(ended.named("call_cancel")) == 40


def test_a_cancellation_that_nobody_asked_for_is_an_error() -> None:
    assert run("signals.py:unasked").ending[1] == "Ecanceled"


def test_a_worker_whose_kernel_is_gone_ends_at_once() -> None:
    ended = run("endings.py", "leftovers", replay=[])
    assert ended.status == 70
    assert ended.named("tidied") == []


def test_a_result_that_cannot_be_sent_is_said_to_be_the_programs_and_no_call_of_its() -> None:
    error = run("endings.py", "unsendable").ending[2]
    assert error is not None
    assert "what the program returned is no plain data" in error["message"]
    assert "object" in error["message"]
    assert error["traceback"] == ""
