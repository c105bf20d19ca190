"""`models check`: whether model files are what they should be."""

from __future__ import annotations

from prytany.abi.errors import KernelError
from prytany.cli.bar import bar
from prytany.cli.failure import advised
from prytany.cli.text import json_line, note, safe
from prytany.drivers.models.weights import FILE_BYTES
from prytany.system.model_check import Checked, check_models

MEGABYTE = 1_000_000


def check_files(name: str, as_json: bool) -> int:
    """A line a file; 1 where one is not what it should be. Raises Enoent, Einval."""
    status = count = 0
    with bar("local model", FILE_BYTES) as move:
        try:
            found = list(check_models(name, move))
        except KernelError as error:
            raise advised(error, "prytany models list shows which there are") from None
    for checked in found:
        count += 1
        status |= not checked.ok
        print(json_line(checked) if as_json else _line(checked))
    if not count:
        note("no model file is here; `prytany models fetch` gets the embedded one", as_json)
    return int(status)


def _line(checked: Checked) -> str:
    if not checked.ok:
        again = f"put a whole one in its place, or take it away: prytany models remove {checked.name}"
        mend = "prytany models remove local, then prytany models fetch" if checked.digest else again
        return safe(f"DAMAGED {checked.name}: {checked.fault} ({checked.path}). {mend}")
    said = ["sha256 as expected"] if checked.digest else []
    said += [f"GGUF {checked.version}", f"{checked.bytes / MEGABYTE:.0f} MB, whole", f"{checked.tensors} tensors"]
    said += [checked.architecture] * bool(checked.architecture)
    said += [f"{checked.context} tokens of context"] * bool(checked.context)
    said += [f"calls itself {checked.title!r}"] * bool(checked.title)
    return safe(f"ok      {checked.name}: {', '.join(said)} ({checked.path})")
