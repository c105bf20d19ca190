"""Durable steps a second of LangGraph with its SQLite checkpointers: a node that does nothing, its state written before
the next one starts (`durability="sync"`), from threads and from tasks."""

import asyncio
import json
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph


class Left(TypedDict):
    left: int
    data: bytes


def step(state: Left) -> Left:
    return {"left": state["left"] - 1, "data": bytes(64)}


def graph(saver: Any) -> Any:
    built = StateGraph(Left)
    built.add_node("step", step)
    built.add_edge(START, "step")
    built.add_conditional_edges("step", lambda state: "step" if state["left"] > 0 else END)
    return built.compile(checkpointer=saver)


def config(number: int, steps: int) -> dict[str, Any]:
    return {"configurable": {"thread_id": str(number)}, "recursion_limit": steps + 10}


def threads(place: Path, count: int, steps: int) -> float:
    connection = sqlite3.connect(place, check_same_thread=False)
    app = graph(SqliteSaver(connection))
    start: Left = {"left": steps, "data": b""}
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda n: app.invoke(start, config(n, steps), durability="sync"), range(count)))
    took = time.perf_counter() - began
    connection.close()
    return count * steps / took


async def tasks(place: Path, count: int, steps: int) -> float:
    async with AsyncSqliteSaver.from_conn_string(str(place)) as saver:
        app = graph(saver)
        start: Left = {"left": steps, "data": b""}
        began = time.perf_counter()
        await asyncio.gather(*(app.ainvoke(start, config(n, steps), durability="sync") for n in range(count)))
        return count * steps / (time.perf_counter() - began)


def main() -> None:
    folder = Path(sys.argv[1])
    figures = {
        "one thread": threads(folder / "a", 1, 400),
        "8 threads": threads(folder / "b", 8, 80),
        "one task": asyncio.run(tasks(folder / "c", 1, 400)),
        "64 tasks": asyncio.run(tasks(folder / "d", 64, 10)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
