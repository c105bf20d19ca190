"""What a run may see of the operator's files."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.errors import Eacces, Enoent


def unveil_for_run(
    input: Path | None, output: Path | None, target: str, home: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """The program's keyword arguments and the unveiled folders of `prytany run`.

    Raises:
        Enoent: the input is not there.
        Eacces: the output holds, or lies in, what must never be written: the home or the program.
    """
    if input is None:
        return {}, {}
    source = input.absolute()
    if not source.is_dir():
        raise Enoent(f"there is no folder {input}")
    place = (output or Path("output")).absolute()
    program = Path(target.rpartition(":")[0]).absolute().parent
    for kept, what in ((home, "the home"), (program, "the program's folder")):
        real, held = place.resolve(), kept.resolve()
        if real == held or held in real.parents or real in held.parents:
            raise Eacces(
                f"{place} cannot be written to by agents: it holds or lies in {what} ({held}); choose another --output"
            )
    place.mkdir(parents=True, exist_ok=True)
    return {"input": str(source), "output": str(place)}, {str(source): "r", str(place): "rw"}
