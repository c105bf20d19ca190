"""Older texts of files of tools, by which runs go on, and the secrets that they lack."""

from __future__ import annotations

from collections.abc import Mapping

from prytany.drivers.tools.python.tools import PythonTools
from prytany.system.fleet.drivers import Drivers
from prytany.system.logs import Logs
from prytany.system.tools import load_tools


async def older_whole(drivers: Drivers, path: str, logs: Logs, secrets: Mapping[str, str]) -> dict[str, PythonTools]:
    """Those of one file that lack a secret, loaded again where they lack none now; by what they are known by. Raises
    Einval."""
    found: dict[str, PythonTools] = {}
    lame = {k: t for k, t in drivers.tools.items() if k != path and isinstance(t, PythonTools) and t.path == path}
    for key, tools in lame.items():
        if not tools.lacking:
            continue
        again = await load_tools(path, logs, secrets, tools.source, lenient=True)
        if again.lacking or again.manifests != tools.manifests:
            await again.close()
        else:
            found[key] = again
    return found
