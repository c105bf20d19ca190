"""Everything that a program may draw time, chance and identity from; and everything it may not do."""

# ruff: noqa: S605
# A program draws on the standard library as it pleases: that is what is under test.
import asyncio
import concurrent.futures
import datetime
import multiprocessing
import os
import random
import secrets
import socket
import subprocess
import threading
import time
import uuid
from time import time as held


def drawn():
    return [
        time.time(), time.time_ns(), time.monotonic(), time.monotonic_ns(), time.perf_counter(), time.process_time(),
        time.clock_gettime(time.CLOCK_REALTIME), time.localtime()[:6], time.gmtime()[:6], time.ctime(), held(),
        time.strftime("%F %T"), time.asctime(), datetime.datetime.now().isoformat(),
        datetime.datetime.now(datetime.UTC).isoformat(), datetime.datetime.utcnow().isoformat(),
        datetime.datetime.today().isoformat(), datetime.date.today().isoformat(),
        asyncio.get_running_loop().time(), os.getpid(), os.urandom(9), os.getrandom(9), secrets.token_hex(),
        secrets.randbelow(10**9), random.random(), random.Random().random(), random.SystemRandom().random(),
        random.sample(range(100), 5), str(uuid.uuid1()), str(uuid.uuid4()),
    ]  # fmt: skip


async def main(proc):
    first = drawn()
    await proc.call("drawn", (first,))
    random.seed()
    await proc.call("drawn", (drawn(),))
    return type(datetime.datetime.now()) is datetime.datetime


async def refused(proc):
    loop = asyncio.get_running_loop()
    ours, _ = socket.socketpair()
    attempts = {
        "sleep": lambda: time.sleep(0.001),
        "thread": lambda: threading.Thread(target=print).start(),
        "timer": lambda: threading.Timer(1, print).start(),
        "pool": lambda: concurrent.futures.ThreadPoolExecutor().submit(print),
        "executor": lambda: loop.run_in_executor(None, print),
        "reader": lambda: loop.add_reader(ours, print),
        "subprocess": lambda: subprocess.run(["true"]),
        "fork": os.fork,
        "process": lambda: multiprocessing.get_context("fork").Process(target=print).start(),
        "system": lambda: os.system("true"),
        "factory": lambda: loop.set_task_factory(None),
    }
    awaited = {
        "to_thread": lambda: asyncio.to_thread(print),
        "connection": lambda: asyncio.open_connection("127.0.0.1", 80),
        "server": lambda: asyncio.start_server(print, "127.0.0.1", 0),
        "exec": lambda: asyncio.create_subprocess_exec("true"),
        "sock": lambda: loop.sock_recv(ours, 1),
        "address": lambda: loop.getaddrinfo("localhost", 80),
    }
    said = {}
    for name, attempt in (attempts | awaited).items():
        try:
            answer = attempt()
            if name in awaited:
                await answer
            said[name] = "allowed"
        except Exception as error:
            said[name] = getattr(error, "errno", repr(error))
    return said
