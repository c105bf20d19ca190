"""The process that holds the local model: llama.cpp's server on a loopback port, confined, and nothing else.

Executed by path (`python -I local_server.py`) by `local.LocalModel`, never imported by the kernel: a hostile grammar
can kill or hang llama.cpp, and it must take down only this process. It must not import prytany, so that it starts in a
fraction of a second and sees none of the kernel's code.

    stdin    one JSON line {model, slots, context, key}, then silence: its end means that the parent is gone
    stdout   one JSON line {port} or {error}, then nothing

It confines itself before it opens the port: no new privileges, no core dumps, limits, dies with its parent, and by
Landlock no file may be written or executed, only the model, the system's libraries and /proc and /sys may be read, no
outgoing TCP connection, and only an ephemeral port may be bound. Landlock here is a copy in little of
`prytany.runtime.landlock`: a driver may not import the runtime, and this file may import nothing of ours at all.

Source: llama.cpp `tools/server`; landlock(7).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import struct
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every architecture
READ_FILE, READ_DIR = 1 << 2, 1 << 3
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
ADDRESS_SPACE_BYTES = 8 << 30  # the weights are mapped; a context that wants more than this is a mistake
FILES_MAX = 512
READABLE = ("/usr", "/lib", "/lib64", "/etc", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system")


def confine_process() -> None:
    """No new privileges, no core file, bounded memory and descriptors, and death with the parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    os.umask(0o077)


def confine_files(readable: list[str]) -> bool:
    """Allow reading `readable`, binding an ephemeral port, and nothing else; False where the kernel has no Landlock.

    It holds for this thread and those that it starts, so it is called while there is only one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return False
    rights = (1 << 13) - 1 | (1 << 13 if abi >= 2 else 0) | (1 << 14 if abi >= 3 else 0)
    attributes = struct.pack("QQ", rights, BIND_TCP | CONNECT_TCP) if abi >= 4 else struct.pack("Q", rights)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in readable:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
        if libc.syscall(LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, opened), 0):
            raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
        os.close(opened)
    if abi >= 4 and libc.syscall(LANDLOCK_ADD_RULE, ruleset, 2, struct.pack("QQ", BIND_TCP, 0), 0):
        raise OSError(ctypes.get_errno(), "landlock_add_rule port 0")
    if libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return True


def open_server(order: dict[str, Any]) -> Any:
    """Load the model and listen; returns the server, which lives as long as the process."""
    library: Any = importlib.import_module("xllamacpp")  # it has no types
    confine_files([order["model"], *READABLE])
    parameters: Any = library.CommonParams()
    parameters.model.path = order["model"]
    parameters.n_ctx = order["context"] * order["slots"]  # llama.cpp divides one context among the slots
    parameters.n_parallel = order["slots"]
    parameters.cont_batching = True
    threads = len(os.sched_getaffinity(0))
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.n_threads_http = order["slots"] + 2
    parameters.cache_ram_mib = 0  # prompts of different agents are not kept beside the slots
    parameters.api_keys = [order["key"]]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_metrics = False
    parameters.offline = True
    parameters.verbosity = -1
    return library.Server(parameters)


def hold_leash() -> None:
    """End with the parent: the read returns when the other end of stdin is closed, for whatever reason."""
    os.read(0, 1)
    os._exit(0)


def main() -> None:
    """Read the order, confine, serve, answer with the port, and wait to be let go."""
    confine_process()
    order: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    answers = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)  # llama.cpp writes where it likes; the answer's pipe is not for that
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        server = open_server(order)
        port = int(str(server.listening_address).rsplit(":", 1)[1])
        print(json.dumps({"port": port}), file=answers, flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        os._exit(1)
    answers.close()
    leash = threading.Thread(target=hold_leash)
    leash.start()
    leash.join()
    del server


if __name__ == "__main__":
    main()
