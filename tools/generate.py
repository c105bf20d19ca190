"""Write the files that follow from tables and forms; with --check, fail when one is not what it would be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from prytany.abi.syscalls import COMMON_ERRORS, PLEDGES, SYSCALLS, Syscall
from tools.fleet_schema import fleet_schema

ROOT = Path(__file__).resolve().parent.parent


def stubs() -> str:
    """`userland/calls.py`."""
    lines = [
        '"""One method a system call. Generated from `abi/syscalls/` by tools/generate.py; do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Awaitable, Callable",
        "from typing import Any, cast",
        "",
        "",
        "class Calls:",
        '    """The system calls, as they are."""',
        "",
        "    def __init__(self, call: Callable[[str, tuple[Any, ...]], Awaitable[Any]]) -> None:",
        "        self._call = call",
    ]
    for call in SYSCALLS:
        lines += ["", *_method(call)]
    return _formatted("\n".join(lines) + "\n")


def _method(call: Syscall) -> list[str]:
    def parameter(name: str, type_: str, default: object) -> str:
        if default is msgspec.NODEFAULT:
            return f"{name}: {type_}"
        empty = isinstance(default, dict | list)
        return f"{name}: {type_} | None = None" if empty else f"{name}: {type_} = {default!r}"

    parameters = ", ".join(["self", *(parameter(a.name, a.type, a.default) for a in call.arguments)])
    values = "".join(
        f"{a.name} or {a.default!r}, " if isinstance(a.default, dict | list) else f"{a.name}, " for a in call.arguments
    )
    raises = ", ".join(sorted(call.errors)) or "only what every call can"
    lines = [
        f"    async def {call.name}({parameters}) -> {call.result}:",
        f'        """{call.meaning}',
        "",
        "        Args:",
        *(f"            {a.name}: {a.meaning}." for a in call.arguments),
        "",
        f"        Errors: {raises}.",
        '        """',
    ]
    made = f'await self._call("{call.name}", ({values.rstrip()}))'
    if call.result == "None":
        return [*lines, f"        {made}"]
    if call.result == "Any":
        return [*lines, f"        return {made}"]
    return [*lines, f"        return cast({call.result!r}, {made})"]


def _formatted(source: str) -> str:
    ruff = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "-"]
    return subprocess.run(ruff, input=source, capture_output=True, text=True, check=True).stdout


def manual() -> str:
    """`docs/manual/syscalls.md`."""
    lines = [
        "# System calls",
        "",
        "Generated from the table in `src/prytany/abi/syscalls/` by `python -m tools.generate`; do not edit.",
        "",
        "Everything an agent does is one of these. Each is recorded before its answer leaves the kernel.",
        "",
        "## Pledges",
        "",
        "| class | what it allows |",
        "| --- | --- |",
        *(f"| `{name}` | {meaning} |" for name, meaning in PLEDGES.items()),
        "",
        "## Errors that any call can end with",
        "",
        "| errno | cause |",
        "| --- | --- |",
        *(f"| {errno} | {cause} |" for errno, cause in COMMON_ERRORS.items()),
    ]
    for call in SYSCALLS:
        pledge = f"pledge `{call.pledge}`" if call.pledge else "no pledge needed"
        lines += [
            "",
            f"## {call.name}",
            "",
            f"{call.meaning} ({pledge}; since {call.since}; gives `{call.result}`)",
            "",
        ]
        lines += ["| argument | type | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{a.name}` | `{a.type}` | {a.meaning} |".replace(" | None`", " or None`") for a in call.arguments]
        if call.errors:
            lines += ["", "| errno | cause |", "| --- | --- |"]
            lines += [f"| {errno} | {cause} |" for errno, cause in call.errors.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check."""
    files = {
        ROOT / "src/prytany/userland/calls.py": stubs(),
        ROOT / "docs/manual/syscalls.md": manual(),
        ROOT / "src/prytany/system/fleet/fleet.schema.json": fleet_schema(),
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what its table says; run `python -m tools.generate`")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
