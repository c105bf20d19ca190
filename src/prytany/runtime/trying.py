"""The trials of `trials.py` as checks: what each is for, whether workers can do without, and how to mend it.

They run in a process of their own, of the kernel's interpreter: what they take away, the caller keeps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple

from prytany.runtime.checks import Check

TIME_S = 60.0
OLDER_DOCKER = "update Docker to 23 or newer, or give --security-opt seccomp=FILE with a profile that allows it"
HOST = "a container has the kernel of its host: boot one there that has it"


class Trial(NamedTuple):
    """What is told of one."""

    what: str
    required: bool
    mend: str
    """On a machine."""
    in_docker: str
    """In a container."""


TRIALS = {
    "landlock": Trial(
        "a worker's files are held (landlock)", True, "boot Linux 5.13 or newer with `landlock` among lsm=",
        f"{OLDER_DOCKER}; {HOST}",
    ),
    "seccomp": Trial(
        "a worker's calls are held (seccomp)", True, "install libseccomp2 on a kernel with CONFIG_SECCOMP_FILTER",
        f"install libseccomp2 in the image; {OLDER_DOCKER}",
    ),
    "memfd": Trial("a file in memory (memfd_create)", True, "use Linux 3.17 or newer", OLDER_DOCKER),
    "close_range": Trial(
        "descriptors are closed (close_range)", False, "use Linux 5.9 or newer; it is done one by one until then",
        OLDER_DOCKER,
    ),
    "openat2": Trial("agents' files stay below a folder (openat2)", True, "use Linux 5.6 or newer", OLDER_DOCKER),
    "parent-death": Trial("a worker dies with its kernel", True, "use Linux", HOST),
    "pidfd": Trial("one process is signalled and no other (pidfd)", True, "use Linux 5.3 or newer", OLDER_DOCKER),
    "own processes": Trial(
        "a kernel sees its workers in /proc", True,
        "mount /proc without hidepid, and leave ProtectProc= out of the unit", "mount /proc without hidepid",
    ),
    "uid": Trial(
        "root gives each worker a uid of its own", True,
        "run as an ordinary user, or give it CAP_SETUID and CAP_SETGID",
        "run it as an ordinary user (--user), or do without --cap-drop of SETUID and SETGID",
    ),
    "worker": Trial(
        "a worker is confined, all in all", True,
        "mend what is missing above; where nothing is, put the interpreter where others than root can read it",
        "run it as an ordinary user (--user, as Prytany's image does), or give --cap-add DAC_READ_SEARCH, or put the"
        " interpreter where others than root can read it",
    ),
    "user namespaces": Trial(
        "user namespaces, which nothing needs yet", False, "sysctl user.max_user_namespaces; AppArmor's restriction",
        "--security-opt seccomp=unconfined would allow them, and much else: do without",
    ),
}  # fmt: skip
NAMES = {"machine": "", "docker": "in Docker: ", "docker-user": "in Docker, as an ordinary user: "}


def modes(docker: bool) -> list[str]:
    """What is tried: the machine; or a container, as root both as root and as an ordinary user."""
    if not docker:
        return ["machine"]
    return ["docker", "docker-user"] if os.geteuid() == 0 else ["docker"]


def try_out(mode: str) -> list[Check]:
    """A check for each trial of a mode; one that says so where they cannot be run."""
    if not sys.platform.startswith("linux"):
        return []
    words = [sys.executable, "-P", "-m", "prytany.runtime.trials", mode]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIME_S, check=False, cwd="/")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        said = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        found, said = [], [str(error)]
    checks = [_check(mode, row["trial"], row["why"]) for row in found]
    if said or not found:
        why = said[0] if said else "they said nothing"
        checks.append(Check(f"{NAMES[mode]}trials", False, True, why, "mend what is missing above, and try again"))
    return checks


def _check(mode: str, name: str, why: str) -> Check:
    trial = TRIALS[name]
    mend = trial.mend if mode == "machine" else trial.in_docker
    return Check(f"{NAMES[mode]}{trial.what}", not why, trial.required, why, mend if why else "")
