"""A librarian: finds the lines of the notes that have to do with a question. It reads `notes`, and nothing else."""

import re
from pathlib import Path

from prytany import Process, agent

NOTES = str(Path(__file__).parent / "notes")


def words_of(text: str) -> set[str]:
    """The longer words, by how they begin: `opens` and `opening` are one."""
    return {word[:4] for word in re.findall(r"\w{4,}", text.lower())}


@agent(pledge="files.read")
async def main(proc: Process, question: str) -> str:
    """The lines that share a word with the question; all of them, where none does."""
    lines: list[str] = []
    for name in await proc.files.list(NOTES):
        if name.endswith(".md"):
            lines += (await proc.files.read(f"{NOTES}/{name}")).splitlines()
    return "\n".join([line for line in lines if words_of(line) & words_of(question)] or lines)
