"""One of the people: a plan, a place, and memories that come back when they matter."""

import re

import msgspec

from prytany import Process, Server

REMEMBERED = 40
RECALLED = 4
WORD = re.compile(r"\w{4,}")


class Memory(msgspec.Struct):
    """Something that happened, and how much it matters, from 1 to 10."""

    hour: int
    text: str
    weight: int


class Mind(msgspec.Struct):
    """All that is kept of a person from one message to the next."""

    name: str
    trait: str
    places: list[str]
    plan: str = ""
    memories: list[Memory] = []


class Villager(Server):
    pledge = "ipc model"
    state: Mind

    def init(self, proc: Process, name: str, trait: str, places: list[str]) -> Mind:
        return Mind(name, trait, places)

    async def on_wake(self) -> str:
        """Make a plan for the day."""
        self.state.plan = await self._say("In at most ten words: what do you want to do today?")
        self._remember(6, f"I planned to {self.state.plan}", 8)
        return self.state.plan

    async def on_go(self, hour: int) -> str:
        """Choose a place for the hour."""
        places = self.state.places
        asked = f"It is {hour} o'clock. Where do you go: {', '.join(places)}? Answer with one of these words."
        answer = (await self._say(asked)).lower()
        place = next((place for place in places if place in answer), places[(hour + self.proc.pid) % len(places)])
        self._remember(hour, f"I went to the {place}", 2)
        return place

    async def on_talk(self, hour: int, place: str, other: str) -> list[str]:
        """Say something to whoever is there, and hear what that answers."""
        said = await self._say(f"You meet {other} at the {place}. Say one sentence to {other}.", about=other)
        answer = str(await self.proc.call(other, "hear", hour=hour, speaker=self.state.name, said=said))
        self._remember(hour, f"{other} said to me at the {place}: {answer}", 5)
        return [said, answer]

    async def on_hear(self, hour: int, speaker: str, said: str) -> str:
        """Answer somebody."""
        self._remember(hour, f"{speaker} said to me: {said}", 5)
        return await self._say(f"{speaker} says: “{said}” Answer in one sentence.", about=f"{speaker} {said}")

    async def on_reflect(self) -> str:
        """What the day was about."""
        thought = await self._say("The day is over. In one sentence: what did you learn?", about="said to me")
        self._remember(21, thought, 9)
        return thought

    def _remember(self, hour: int, text: str, weight: int) -> None:
        memories = self.state.memories
        memories.append(Memory(hour, text, weight))
        if len(memories) > REMEMBERED:
            memories.remove(min(memories, key=lambda memory: (memory.weight, memory.hour)))

    def _recall(self, about: str) -> list[str]:
        """What comes to mind: what matters, is recent, and has to do with it."""
        words = set(WORD.findall(about.lower()))

        def score(memory: Memory) -> float:
            shared = len(words & set(WORD.findall(memory.text.lower())))
            return memory.weight + memory.hour / 2 + 4 * shared

        found = sorted(self.state.memories, key=score, reverse=True)[:RECALLED]
        return [memory.text for memory in sorted(found, key=lambda memory: memory.hour)]

    async def _say(self, asked: str, about: str = "") -> str:
        mind = self.state
        system = f"You are {mind.name}, who {mind.trait}. You live in a small village. You say little."
        recalled = "".join(f"\n- {text}" for text in self._recall(f"{about} {mind.plan}"))
        if recalled:
            system += f" You remember:{recalled}"
        said = await self.proc.llm(asked, system=system, max_tokens=60)
        return " ".join(said.split())[:200]
