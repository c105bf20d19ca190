"""`tools`: what files of tools say of themselves. No secret is needed to look."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from prytany.abi.errors import Einval, KernelError
from prytany.cli.failure import advised, tell
from prytany.cli.text import json_line, safe
from prytany.drivers.tools.python.tools import PythonTools
from prytany.ports.tool import ToolManifest
from prytany.system.tools import tool_path


def show_tools(paths: Sequence[Path], as_json: bool) -> int:
    """A tool a line; 1 when a file could not be used."""
    if not paths:
        raise advised(Einval("no file of tools is named"), "name one with: prytany tools --tools FILE.py")
    status = 0
    for path in paths:
        try:
            manifests = asyncio.run(_manifests(Path(tool_path(path))))
        except KernelError as error:
            tell(error, as_json, "mend the file, and try again", file=str(path))
            status = 1
            continue
        for manifest in manifests:
            print(json_line(manifest) if as_json else _line(manifest))
    return status


async def _manifests(path: Path) -> list[ToolManifest]:
    tools = await PythonTools.load(path, None)
    await tools.close()
    return list(tools.manifests.values())


def _line(manifest: ToolManifest) -> str:
    needs = [f"secret {name}" for name in manifest.secrets] + [f"resource {name}" for name in manifest.resources]
    first = manifest.description.partition("\n")[0]
    return safe(f"{manifest.name:<28} {manifest.effect:<7} {first}" + (f"  [{', '.join(needs)}]" if needs else ""))
