"""The process that holds the local model: llama.cpp's server on a loopback port, confined, and nothing else.

Executed by path (`python -I local_server.py`) by `local.LocalModel`, never imported by the kernel: a hostile grammar
can kill or hang llama.cpp, and it must take down only this process. It must not import prytany, so that it starts in a
fraction of a second and sees none of the kernel's code.

    stdin    one JSON line {model, slots, context, key, saves?, saved_bytes_max?}, then silence: its end means that the
             parent is gone
    stdout   one JSON line {port} or {error}, then nothing

It confines itself before it reads the model: no new privileges, no core dumps, limits, dies with its parent, and by
Landlock no file may be executed, none written but slots in the folder for them, only these, the model, the system's
libraries and /proc and /sys may be read, no outgoing TCP connection, and only an ephemeral port may be bound. Of root
it keeps nothing: it takes a uid that no other process has, to which it gives that folder. By seccomp it can make the
calls that serving takes, and no other: no program, no process, no signal to another, no connection. Both are copies in
little of what `prytany.runtime` does for workers: a driver may not import the runtime, and this file may import nothing
of ours at all.

Source: llama.cpp `tools/server`, and what strace saw of it; landlock(7); seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_THREAD = 0x10000
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every architecture
WRITE_FILE, READ_FILE, READ_DIR, MAKE_REG, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 8, 1 << 14
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
ADDRESS_SPACE_BYTES = 8 << 30  # the weights are mapped; a context that wants more than this is a mistake
FILES_MAX = 512
BATCH_TOKENS = 128  # of prompts at a time: between two batches others get a token, and a request is given up
READABLE = ("/usr", "/lib", "/lib64", "/etc", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system")


UID_BASE = 2_000_000  # above the blocks of the workers; the process's own pid makes it unlike any other's
UNKNOWN = -1  # what libseccomp says of a call that this architecture has not
ALLOWED = frozenset(
    """
    read write readv writev pread64 lseek close dup fstat stat lstat newfstatat statx access faccessat faccessat2
    openat readlink readlinkat getdents64 getcwd fadvise64 fcntl ioctl
    mmap munmap mremap mprotect madvise mincore brk mlock munlock
    bind listen accept accept4 sendto sendmsg recvfrom recvmsg shutdown getsockname getpeername getsockopt setsockopt
    poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2
    futex set_robust_list get_robust_list rseq membarrier sched_yield sched_getaffinity sched_setaffinity getcpu
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall tgkill
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday getrandom
    getpid getppid gettid getuid geteuid getgid getegid uname sysinfo getrusage exit exit_group
    """.split()  # noqa: SIM905 - a list of 60 quoted names is not read by anybody
)


def confine_process() -> None:
    """No new privileges, no core file, bounded memory and descriptors, and death with the parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    os.umask(0o077)


def confine_files(readable: list[str], saves: str = "") -> bool:
    """Allow reading `readable`, files in `saves`, binding an ephemeral port, and nothing else; False where the kernel
    has no Landlock.

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
    for path in [*readable, saves] if saves else readable:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
        if path == saves:
            allowed = (READ_FILE | WRITE_FILE | MAKE_REG | TRUNCATE) & rights
        if libc.syscall(LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, opened), 0):
            raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
        os.close(opened)
    if abi >= 4 and libc.syscall(LANDLOCK_ADD_RULE, ruleset, 2, struct.pack("QQ", BIND_TCP, 0), 0):
        raise OSError(ctypes.get_errno(), "landlock_add_rule port 0")
    if libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return True


def open_saves(path: str, bytes_max: int) -> int:
    """A descriptor of the folder for slots, and no file longer than all of them together may be; -1 for none."""
    if not path:
        return -1
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))  # Python ignores the signal: writing fails
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def drop_root(weights: int, saves: int = -1) -> None:
    """Take a uid and a group of one's own, where this is root; nothing of root comes back. The folder for slots, and
    what a process before this one saved, is given to it."""
    if os.geteuid() != 0:
        return
    own = UID_BASE + os.getpid()
    if not os.fstat(weights).st_mode & 0o004:
        raise PermissionError("a uid of its own cannot read the weights: they need chmod o+r")
    if saves >= 0:
        os.chown(saves, own, own)
        for name in os.listdir(saves):
            os.chown(name, own, own, dir_fd=saves, follow_symlinks=False)
    os.setgroups([])
    os.setresgid(own, own, own)
    os.setresuid(own, own, own)
    # The change of uid cleared it; whoever died in between is noticed by the leash.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def prepare_filter() -> Any:
    """The filter that allows the system calls of ALLOWED, new threads and TCP sockets; None without libseccomp.

    `load` puts this thread under it, and those that it starts. Made before files are closed to us, as it reads some.
    """
    try:
        sec: Any = importlib.import_module("pyseccomp")
    except (ImportError, RuntimeError):
        return None
    rules = sec.SyscallFilter(sec.ERRNO(errno.EPERM))
    rules.set_attr(sec.Attr.ACT_BADARCH, sec.KILL_PROCESS)
    for name in sorted(ALLOWED):
        if sec.resolve_syscall(sec.Arch.NATIVE, name) != UNKNOWN:
            rules.add_rule(sec.ALLOW, name)
    rules.add_rule(sec.ALLOW, "socket", sec.Arg(0, sec.EQ, socket.AF_INET), sec.Arg(1, sec.MASKED_EQ, 0xF, 1))
    rules.add_rule(sec.ALLOW, "clone", sec.Arg(0, sec.MASKED_EQ, CLONE_THREAD, CLONE_THREAD))
    rules.add_rule(sec.ERRNO(errno.ENOSYS), "clone3")  # its flags are behind a pointer; glibc falls back to clone
    return rules


def open_server(order: dict[str, Any]) -> Any:
    """Load the model and listen; returns the server, which lives as long as the process."""
    library: Any = importlib.import_module("xllamacpp")  # it has no types
    weights = os.open(order["model"], os.O_RDONLY | os.O_CLOEXEC)
    saves = open_saves(order.get("saves", ""), order.get("saved_bytes_max", 0))
    calls = prepare_filter()
    confine_files([order["model"], *READABLE], order.get("saves", ""))
    drop_root(weights, saves)
    if calls is not None:
        calls.load()
    parameters: Any = library.CommonParams()
    parameters.model.path = f"/proc/self/fd/{weights}"  # the folders on the way may be closed to this uid
    parameters.n_ctx = order["context"] * order["slots"]  # llama.cpp divides one context among the slots
    parameters.n_parallel = order["slots"]
    parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
    if saves >= 0:  # as for the weights
        parameters.slot_save_path = f"/proc/self/fd/{saves}/"
    parameters.cont_batching = True
    threads = len(os.sched_getaffinity(0))
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.n_threads_http = order["slots"] + 4  # beside answers: saving, restoring, and asking whether it lives
    parameters.cache_ram_mib = 0  # prompts of different agents are not kept beside the slots
    parameters.api_keys = [order["key"]]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_metrics = True  # by which the driver asks whether the loop turns
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
