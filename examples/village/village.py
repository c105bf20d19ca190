"""A day in a village: the hours pass, and whoever meets somebody talks."""

import asyncio
from typing import Any

from prytany import Process, agent

PEOPLE = {
    "Ada": "keeps bees and worries about frost",
    "Bruno": "bakes bread before anybody is up",
    "Clara": "repairs clocks and is never on time",
    "Dario": "drives the bus and knows all news",
    "Elif": "teaches the children to count",
    "Fred": "grew up at sea and misses it",
    "Gita": "paints doors in colours of her own",
    "Hugo": "plays chess against himself",
    "Ines": "runs the post office alone",
    "Jonas": "plans a festival that nobody asked for",
    "Kaya": "collects stones and names them",
    "Leo": "mends roofs and sings on them",
    "Mara": "writes letters that she does not send",
    "Nils": "fishes and lets them go",
    "Olga": "knows which herb helps",
    "Pavel": "tunes the organ",
    "Quinn": "walks a dog that walks Quinn",
    "Rosa": "grows pumpkins for a prize",
    "Sami": "studies the stars from the tower",
    "Tove": "weaves and talks to the loom",
    "Ugo": "sells shoes of which he has one pair",
    "Vera": "was a judge and still is",
    "Wim": "builds a boat far from any water",
    "Xenia": "translates poems into bird song",
    "Yusuf": "keeps the well and its secrets",
}
PLACES = ("square", "bakery", "orchard", "tower", "well")


@agent(pledge="proc ipc")
async def village(proc: Process, people: int = 25, hours: int = 3) -> str:
    """Let `hours` pass for so many people; the day, as text."""
    chosen = list(PEOPLE.items())[:people]
    spawned = [proc.spawn("villager", name, trait, list(PLACES), name=name) for name, trait in chosen]
    pids = dict(zip((name for name, _ in chosen), await asyncio.gather(*spawned), strict=True))

    async def everybody(type: str, **fields: Any) -> dict[str, str]:
        said = await asyncio.gather(*(proc.call(name, type, **fields) for name in pids))
        return dict(zip(pids, said, strict=True))

    lines = ["# A day in the village", ""]
    plans = await everybody("wake")
    lines += [f"- {name} wants to {plan}" for name, plan in plans.items()]
    for hour in range(9, 9 + hours):
        where = await everybody("go", hour=hour)
        lines += ["", f"## {hour} o'clock", ""]
        meetings = _meetings(where)
        talks = await asyncio.gather(
            *(proc.call(one, "talk", hour=hour, place=place, other=other) for place, one, other in meetings)
        )
        for (place, one, other), (said, answer) in zip(meetings, talks, strict=True):
            lines += [f"At the {place}, {one} to {other}: “{said}” — “{answer}”", ""]
    evenings = await everybody("reflect")
    lines += ["## In the evening", "", *(f"- {name}: {thought}" for name, thought in evenings.items())]
    for pid in pids.values():
        await proc.kill(pid)
        await proc.wait(pid)
    return "\n".join(lines)


def _meetings(where: dict[str, str]) -> list[tuple[str, str, str]]:
    """Who talks with whom: two and two of those who are at a place."""
    meetings: list[tuple[str, str, str]] = []
    for place in PLACES:
        there = [name for name, at in where.items() if at == place]
        meetings += [(place, one, other) for one, other in zip(there[::2], there[1::2], strict=False)]
    return meetings
