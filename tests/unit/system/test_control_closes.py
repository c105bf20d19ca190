"""Who is accepted in the very turn in which the control socket closes is hung up on, and not kept."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from prytany.system.control import ControlServer
from prytany.system.desk import Desk, Facts
from tests.simulation.looped import looped
from tests.unit.kernel.puppets import Stage, one_turn


def test_who_is_accepted_while_it_closes_is_hung_up_on(tmp_path: Path) -> None:
    @looped
    async def run() -> None:
        stage = Stage()
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        server = ControlServer(Desk(stage.kernel, Facts("test", 1, str(tmp_path), True, 8)), folder_fd)
        await server.start()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"/proc/self/fd/{folder_fd}/control")
            sock.setblocking(False)
            while not any("_accept_connection2" in repr(task) for task in asyncio.all_tasks()):
                await one_turn()
            await server.close()
            assert not server._connections
            assert b"EPIPE" in sock.recv(1_000)
            assert sock.recv(1_000) == b""
        os.close(folder_fd)
        await stage.kernel.close()

    run()
