"""A systemd unit for a fleet: the text, with each choice's reason beside it.

What a worker takes away from itself it has to be able to: so the unit leaves alone Landlock, seccomp, fork and the view
of its own processes in /proc, and takes away what neither a kernel nor its workers and tools want. Where a unit has to
choose between a little more and something that may break an agent's packages, it says so and leaves it out.

Source: systemd.service(5), systemd.exec(5), systemd.kill(5).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from prytany.abi.errors import Einval

ARGUMENT_CHARS_MAX = 4_096
CREDENTIALS = "/etc/prytany/credentials"
START_S, WATCHDOG_S, MARGIN_S = 120, 60, 30


class Facts(NamedTuple):
    """What a unit is about."""

    program: tuple[str, ...]
    """The words that start `prytany`, the first a whole path."""
    name: str
    """The fleet's."""
    target: str
    """Its file; a whole path."""
    drain_s: int
    credentials: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    """Folders outside of the home that its agents write to."""
    trusted: tuple[str, ...] = ()
    """What has to be trusted, in words."""
    home: str = ""
    """Of a user's own service; the system's has its own below /var/lib."""
    local_model: bool = False


def quoted(text: str) -> str:
    """One word of a command line or a path, as systemd reads it. Raises Einval for what no unit can hold."""
    if len(text) > ARGUMENT_CHARS_MAX or not text.isprintable():
        raise Einval(f"no unit can name {text[:100]!r}: it is too long, or has characters that cannot be printed")
    escaped = text.replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9%@+=:,./_-]+", escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'


def _line(text: str) -> str:
    """A comment, or a description: one line, whatever a path in it holds."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("%", "%%")


def system_unit(facts: Facts) -> str:
    """The unit of a service of the system, with a user of its own. Raises Einval."""
    folder = f"prytany-{facts.name}"
    home = f"/var/lib/{folder}"
    return "\n".join([
        f"# /etc/systemd/system/{folder}.service, as `prytany service unit` printed it. What it names has to be",
        f"# readable for others than root. Look at it with: prytany status --home {home}",
        *_head(facts), "Wants=network-online.target", "After=network-online.target", "",
        "[Service]",
        *_start(facts, home), "",
        "# An ordinary user of its own, which is there while the service runs, and a home that only it can look into.",
        "DynamicUser=yes",
        f"StateDirectory={folder}",
        "StateDirectoryMode=0700",
        f"CacheDirectory={folder}",
        f"Environment=XDG_CACHE_HOME=/var/cache/{folder}",
        "UMask=0077",
        *_credentials(facts), "",
        "# What it may see and change. DynamicUser= already says NoNewPrivileges=, RestrictSUIDSGID= and PrivateTmp=.",
        "ProtectSystem=strict",
        *(("# Its agents write here; the service needs a right to: a group's, with Group=.",) if facts.writes else ()),
        *(f"ReadWritePaths=-{quoted(path)}" for path in facts.writes),
        "ProtectHome=read-only",
        "PrivateDevices=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "CapabilityBoundingSet=",
        *_filter(), "",
        *_bounds(), "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ])  # fmt: skip


def user_unit(facts: Facts) -> str:
    """The unit of one user's own service: what a user's manager can give without rights. Raises Einval."""
    return "\n".join([
        f"# ~/.config/systemd/user/prytany-{facts.name}.service, as `prytany service unit --user` printed it.",
        "# It ends with the user's last session, unless this was said once: loginctl enable-linger",
        *_head(facts), "",
        "[Service]",
        *_start(facts, facts.home),
        "UMask=0077",
        *_credentials(facts), "",
        "# Workers set it for themselves; here it lets the filters below be set without rights.",
        "NoNewPrivileges=yes",
        "RestrictSUIDSGID=yes",
        *_filter(), "",
        *_bounds(), "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ])  # fmt: skip


def _head(facts: Facts) -> list[str]:
    return [
        "",
        "[Unit]",
        f"Description=Prytany: the fleet {facts.name}",
        "# What cannot start five times in five minutes is left for a person.",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=5",
    ]


def _start(facts: Facts, home: str) -> list[str]:
    program = " ".join(map(quoted, facts.program))
    trust = " --trust" if facts.trusted else ""
    up = f"{program} up {quoted(facts.target)} --home {quoted(home)}{trust}"
    return [
        "# Ready when the fleet is up and the control socket answers; restarted when the kernel gives no sign of life.",
        "Type=notify",
        "NotifyAccess=main",
        *(f"# --trust: {_line(said)}" for said in facts.trusted),
        *((f"ExecStartPre={program} models fetch",) if facts.local_model else ()),
        f"ExecStart={up} --drain {facts.drain_s}",
        "# The kernel that runs compares the file with what is up, and applies what changed.",
        f"ExecReload={up}",
        "Restart=on-failure",
        "RestartSec=5",
        f"WatchdogSec={WATCHDOG_S}",
        "# Opening a long journal and draining ask for more time themselves.",
        f"TimeoutStartSec={START_S}",
        f"TimeoutStopSec={facts.drain_s + MARGIN_S}",
        "# Stopped in the middle of something (130), or while it opened its home (143): the journal goes on from it.",
        "SuccessExitStatus=130 143",
        "# TERM is for the kernel alone, which drains: workers and tools that heard it too would end in what they do.",
        "KillMode=mixed",
    ]


def _credentials(facts: Facts) -> list[str]:
    return [f"LoadCredential={name}:{CREDENTIALS}/{name}" for name in facts.credentials]


def _filter() -> list[str]:
    return [
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "# Workers are forked into no namespace; they are confined by Landlock, seccomp and limits, which this allows.",
        "RestrictNamespaces=yes",
        "SystemCallArchitectures=native",
        "# What is named is refused, not the rest: an older systemd does not know the calls of Landlock.",
        "SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @raw-io @reboot @swap",
        "SystemCallErrorNumber=EPERM",
        "# Left out: ProtectProc= and ProcSubset=, since a kernel has to see its workers in /proc, which show nothing",
        "# of themselves; MemoryDenyWriteExecute=, since agents' packages may compile as they run (numba, cffi, PyPy);",
        "# PrivateNetwork= and IPAddressDeny=, since models are asked over the network.",
    ]


def _bounds() -> list[str]:
    return [
        "# 256 workers at once, and their threads. A worker that the machine kills for want of memory is the kernel's",
        "# to see to, and no reason to stop the others. No core: it would hold the fleet's keys.",
        "TasksMax=8192",
        "LimitNOFILE=65536",
        "LimitCORE=0",
        "OOMPolicy=continue",
    ]
