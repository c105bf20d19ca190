"""Pipes: streams of chunks between processes, bounded, in order."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

_ABSENT = "the caller has no such end of a pipe, or has closed it"
_CIRCLE = "those at the other end wait for the caller in turn, or are the caller alone"

CALLS = (
    Syscall(
        "pipe_open",
        "pipe",
        (
            Argument("writer", "int", "who writes: the caller (0), or a child, whose standard output it is then", 0),
            Argument("reader", "int", "who reads: the caller (0), or a child, whose standard input it is then", 0),
            Argument("outlet", "bool", "nobody reads: what is written is for whoever looks at the run", False),
        ),
        "int",
        {
            "ESRCH": "there is no such child that goes on",
            "EBUSY": "its standard input or output is a pipe already",
            "EAGAIN": "one of them has ends of too many pipes",
        },
        "Open a pipe, and answer its number.",
    ),
    Syscall(
        "pipe_write",
        "pipe",
        (
            Argument("data", "Any", "one chunk: plain data, and not None"),
            Argument("pipe", "int", "its number; 0 is the caller's standard output", 0),
        ),
        "None",
        {"ENOENT": _ABSENT, "EPIPE": "nobody reads it any more", "EDEADLK": _CIRCLE},
        "Write a chunk; waits while the pipe is full. Where standard output is no pipe, people are shown it.",
    ),
    Syscall(
        "pipe_read",
        "pipe",
        (Argument("pipe", "int", "its number; 0 is the caller's standard input", 0),),
        "dict[str, Any]",
        {
            "ENOENT": _ABSENT,
            "EPIPE": "what it had read before it failed was too much to be given again",
            "EDEADLK": _CIRCLE,
        },
        "Read the oldest chunk, as `data`; waits while there is none. Without `data` it is the end: nobody writes it.",
    ),
    Syscall(
        "pipe_close",
        "pipe",
        (
            Argument("pipe", "int", "its number; 0 is the caller's standard input or output", 0),
            Argument("end", "str", "`read` or `write`; every end that the caller has of it, if empty", ""),
        ),
        "None",
        {"ENOENT": _ABSENT},
        "Let go of an end. When the last writer has, readers read to the end; without readers, writers hear EPIPE.",
    ),
    Syscall(
        "pipe_look",
        "pipe",
        (Argument("pipe", "int", "its number"),),
        "dict[str, Any]",
        {"ENOENT": _ABSENT},
        "How many chunks were `written` and `read`, and what lies in it: `chunks` of so many `bytes`.",
    ),
)
