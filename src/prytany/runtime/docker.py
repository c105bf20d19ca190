"""What a container may under Docker's defaults, as far as a process can take it on: for `prytany doctor --docker`.

The profile allows some 350 calls and answers EPERM to all others. Here it stands as what it does not allow, out of the
calls that libseccomp knows by name: what it allows under a condition stands with that. A call that libseccomp does not
know is refused as well. AppArmor's profile, masked paths of /proc and the container's namespaces are not taken on.

Source: moby/profiles, seccomp/default.json and default_linux.go at 02e898b (2026), x86-64, for the capabilities that
Docker gives; docs.docker.com/engine/security/seccomp.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from prytany.runtime.scratch import scratch_file
from prytany.runtime.seccomp import Filter

REFUSED: Final = frozenset(
    """
    _sysctl acct add_key afs_syscall bpf clock_settime create_module delete_module fanotify_init finit_module fsconfig
    fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module io_uring_enter io_uring_register
    io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount
    mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root
    process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key security set_mempolicy
    set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon sysfs syslog tuxcall umount
    umount2 unshare uselib userfaultfd ustat vhangup vserver
    """.split()  # noqa: SIM905 as in `seccomp.py`
)
NAMESPACES: Final = 0x7E020000  # CLONE_NEW…: `clone` with any of them is refused
CAPABILITIES: Final = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
audit_write, setfcap. Not among them: dac_read_search, sys_admin."""
USER: Final = 10_001
"""An ordinary one, as Prytany's own image has it."""

_CALLS_MAX = 1_024
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP, _CAPABILITIES_ALL = 38, 24, 64
_CAPSET = {"x86_64": 126, "aarch64": 91, "riscv64": 91}.get(os.uname().machine, -1)
_CAPABILITY_VERSION_3 = 0x20080522


def compile_profile() -> Filter:
    """The profile, for this machine's architecture. Raises OSError, ENOSYS, where libseccomp is missing."""
    try:
        import pyseccomp as sec
    except (ImportError, RuntimeError) as error:
        raise OSError(errno.ENOSYS, f"seccomp cannot be used: {error}; install libseccomp (libseccomp2)") from error
    rules = sec.SyscallFilter(sec.ERRNO(errno.EPERM))
    rules.set_attr(sec.Attr.CTL_OPTIMIZE, 2)
    for number in range(_CALLS_MAX):
        try:
            name = sec.resolve_syscall(sec.Arch.NATIVE, number).decode()
        except ValueError:  # there is none of that number
            continue
        if name not in REFUSED and name not in ("clone", "clone3"):
            rules.add_rule(sec.ALLOW, name)
    rules.add_rule(sec.ALLOW, "clone", sec.Arg(0, sec.MASKED_EQ, NAMESPACES, 0))
    rules.add_rule(sec.ERRNO(errno.ENOSYS), "clone3")
    with scratch_file() as file:
        rules.export_bpf(file)
        file.seek(0)
        return Filter(file.read())


def enter(profile: Filter, *, as_user: bool) -> None:
    """Put this process under the profile and the capabilities, for ever; as root it stays so unless `as_user`.

    Docker sets no no_new_privs, which only root can do without: what a filter of an ordinary user wants is set for it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        profile.install()
        return
    profile.install()
    for capability in range(_CAPABILITIES_ALL):
        if capability not in CAPABILITIES:
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # EINVAL beyond the last that there is
    if as_user:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        return
    kept = sum(1 << capability for capability in CAPABILITIES)
    head, sets = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), struct.pack("=6I", kept, kept, kept, 0, 0, 0)
    if libc.syscall(_CAPSET, head, sets) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")
