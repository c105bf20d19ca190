"""What this machine can do to confine a worker, and how to mend what it cannot: for `prytany doctor`.

Each check tries the thing itself where that changes nothing, and reads what the kernel says of itself otherwise.
Must not change the machine or the calling process. Checks that are not `required` are told, and stop nothing.
"""

from __future__ import annotations

import os
import platform
import sys

import msgspec

from prytany.runtime import landlock, priority, seccomp

_CAP_SETUID_SETGID = 1 << 7 | 1 << 6


class Check(msgspec.Struct, frozen=True):
    """One thing that confinement rests on. `missing` and `mend` are "" when it is `ok`."""

    name: str
    ok: bool
    required: bool
    missing: str = ""
    mend: str = ""


def check_machine() -> list[Check]:
    """Every check, in the order in which a worker meets them."""
    return [
        _platform(),
        _landlock(),
        _seccomp(),
        _uid_drop(),
        _parent_death(),
        _weights(),
        _cgroups(),
        _user_namespaces(),
    ]


def _check(name: str, required: bool, missing: str, mend: str) -> Check:
    return Check(name, not missing, required, missing, mend if missing else "")


def _platform() -> Check:
    missing = "" if sys.platform.startswith("linux") else f"programs are confined on Linux, this is {platform.system()}"
    return _check("linux", True, missing, "run it on Linux, on Windows inside WSL2")


def _landlock() -> Check:
    missing = landlock.missing(landlock.abi_version())
    return _check("landlock", True, missing, "boot a kernel that has it, with lsm=landlock,…")


def _seccomp() -> Check:
    missing = ""
    if not sys.platform.startswith("linux"):
        missing = "seccomp is a part of Linux"
    elif _status("Seccomp") is None:
        missing = "this kernel has no seccomp"
    else:
        try:
            seccomp.compile_filter(signals_scoped=True)
        except OSError as error:
            missing = error.strerror or str(error)
    return _check("seccomp", True, missing, "install libseccomp2 on a kernel with CONFIG_SECCOMP_FILTER")


def _uid_drop() -> Check:
    """Required of root only: an ordinary user's workers keep the uid, and are held by the other two."""
    if os.geteuid() != 0:
        return Check("workers keep this user's uid, as only root can give each its own", True, False)
    capabilities = int(_status("CapEff") or "0", 16)
    lacks = capabilities & _CAP_SETUID_SETGID != _CAP_SETUID_SETGID
    missing = "root without CAP_SETUID and CAP_SETGID cannot give a worker a uid of its own" if lacks else ""
    return _check("uid a worker", True, missing, "add both capabilities to the container, or run as an ordinary user")


def _parent_death() -> Check:
    missing = "" if sys.platform.startswith("linux") else "no parent-death signal: a worker ends by its socket alone"
    return _check("parent-death signal", False, missing, "use Linux")


def _weights() -> Check:
    way = priority.way()
    missing = "" if way else "workers weigh on the processor what their kernel does"
    return _check(f"workers by class: {way or 'none'}", False, missing, "use Linux")


def _cgroups() -> Check:
    kind = cgroup_version()
    missing = "" if kind else "no cgroups: memory is bounded a worker (rlimits), not a tree"
    return _check(f"cgroups {kind or 'none'}", False, missing, "mount /sys/fs/cgroup; rlimits hold until then")


def cgroup_version() -> str:
    """ "v2", "v1" (a hybrid counts as v1: its controllers are there) or ""."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "v1" if os.path.isdir("/sys/fs/cgroup/memory") else ""


def _user_namespaces() -> Check:
    """For bubblewrap (`command` programs); workers do not need it."""
    missing = ""
    for path, what in (
        ("/proc/sys/user/max_user_namespaces", "user.max_user_namespaces is 0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone is 0"),
    ):
        if _read(path) == "0" and (os.geteuid() != 0 or "max" in path):
            missing = what
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" and os.geteuid() != 0:
        missing = "AppArmor restricts unprivileged user namespaces"
    if not os.path.exists("/proc/self/ns/user"):
        missing = "this kernel has no user namespaces"
    return _check("user namespaces", False, missing, "sysctl that setting; `command` programs need it")


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _status(field: str) -> str | None:
    for line in _read("/proc/self/status").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    return None
