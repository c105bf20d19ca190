"""Other runtimes, measured on this machine: each in an environment of its own, at its best of several ways to use it.

An environment is made once in the user's cache, from a list of exact versions, and used again until that list changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
PEERS = ("langgraph", "dbos")


def environment(peer: str) -> Path:
    """The Python of `peer`'s environment; made, with a line that says so, where there is none."""
    wanted = (HERE / f"{peer}.txt").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prytany" / "peers"
    place = cache / f"{peer}-{hashlib.blake2b(wanted, digest_size=6).hexdigest()}"
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return python
    print(f"making an environment for {peer} in {place}", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r"]
    subprocess.run([*install, str(HERE / f"{peer}.txt")], check=True)
    (place / "complete").touch()
    return python


def measured(peer: str, program: str) -> dict[str, float]:
    """What a program of `programs` says of its peer: rates, by the way it was used."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(environment(peer)), str(HERE / "programs" / program), folder]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rates: dict[str, float] = json.loads(said.strip().splitlines()[-1])
    return rates


def steps_per_s() -> dict[str, float]:
    """Durable steps a second with SQLite, each peer's best; one after another."""
    return {peer: max(measured(peer, f"{peer}_steps.py").values()) for peer in PEERS}
