"""A digest of a folder: an editor starts a reader for each document, and puts their gists together."""

import asyncio

from prytany import Process, agent

TEXT = (".txt", ".md", ".rst")
READERS_AT_ONCE = 4


@agent(pledge="model files.read")
async def reader(proc: Process, path: str) -> str:
    """The gist of one document."""
    text = await proc.files.read(path)
    gist = await proc.llm(
        f"{text[:6000]}\n\nSummarise the text above in one sentence.",
        system="You summarise texts. You answer with one short sentence.",
        max_tokens=80,
    )
    return " ".join(gist.split())


@agent(pledge="proc model files.read files.write")
async def editor(proc: Process, input: str, output: str) -> str:
    """Read every document below `input`, write `output`/digest.md, and give its text."""
    names = [name for name in await proc.files.list(input) if name.endswith(TEXT)]
    places = asyncio.Semaphore(READERS_AT_ONCE)

    async def gist(name: str) -> str:
        async with places:
            ended = await proc.wait(await proc.spawn(reader, f"{input}/{name}", name=f"reader {name[:28]}"))
        why = ended.error["message"] if ended.error else ended.reason
        return ended.result if ended.ok else f"(not read: {why})"

    gists = await asyncio.gather(*(gist(name) for name in names))
    lines = ["# Digest", ""]
    for name, said in zip(names, gists, strict=True):
        lines += [f"## {name}", "", said, ""]
    text = "\n".join(lines)
    await proc.files.write(f"{output}/digest.md", text)
    return text
