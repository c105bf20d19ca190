"""Which model a run asks: the scripted one, a file, or an OpenAI-compatible endpoint.

A run keeps its model: the name below is recorded with it, and whoever resumes it is given the same one, or refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from prytany.abi.errors import Einval, Enoent
from prytany.ports.model import Model

REMOTE = "remote:"
"""What the recorded name of an endpoint's model begins with."""
DEFAULT = "PRYTANY_MODEL"
"""The variable that says what is asked where `--model` does not."""
SLOTS = "PRYTANY_MODEL_SLOTS"
"""The variable that says how many calls at once a model of this machine works on."""
SLOTS_DEFAULT, SLOTS_MAX = 2, 32


def name_model(choice: str) -> str:
    """What is recorded of a choice: `scripted`, `local`, a file's whole path, or `remote:` and the endpoint's name.

    Args:
        choice: `scripted`, `local`, a `.gguf` file, the name of one in the folder of models, `remote`, or "" for
        what PRYTANY_MODEL chooses, else PRYTANY_MODEL_URL's endpoint if that is set, else `local`.

    Raises:
        Einval: PRYTANY_MODEL_URL or PRYTANY_MODEL_NAME are not set as an endpoint needs it; a path is no text.
        Enoent: there is no model of that name.
    """
    chosen = choice or os.environ.get(DEFAULT, "")
    if chosen == "remote" or (not chosen and os.environ.get("PRYTANY_MODEL_URL")):
        if not os.environ.get("PRYTANY_MODEL_URL"):
            raise _unset("PRYTANY_MODEL_URL is not set: where is the endpoint?")
        _url()
        name = os.environ.get("PRYTANY_MODEL_NAME", "")
        if not name:
            raise _unset("PRYTANY_MODEL_URL is set, and PRYTANY_MODEL_NAME is not: which of its models is meant?")
        return REMOTE + name
    if chosen in ("", "local", "scripted") or chosen.startswith(REMOTE):
        return chosen or "local"
    try:
        return _name_file(chosen)
    except Enoent as error:
        raise error if choice else _no_model(f"{DEFAULT} is set: {error.message}") from None


def _name_file(chosen: str) -> str:
    """The whole path of a file, or of one in the folder of models by its name. Raises Enoent, Einval."""
    from prytany.system.model_files import RESERVED, check_text, find_own, own_names
    from prytany.system.wording import meant, quoted

    path = Path(os.path.abspath(os.path.expanduser(chosen)))
    if not (chosen.endswith(".gguf") or "/" in chosen):
        found = find_own(chosen)
        if found is None and not os.path.isfile(path):
            known = [*RESERVED, *own_names()]
            raise _no_model(f"there is no model {quoted(chosen)}{meant(chosen, known)}, or name a .gguf file")
        path = found or path
    check_text(str(path))
    return str(path)


def open_models(choice: str, live: Collection[str], *, fresh: bool) -> dict[str, Model]:
    """The models by name; the chosen one is also the default, "".

    Args:
        choice: as for `name_model`.
        live: the recorded names of the models of the runs that go on; "" where none was recorded.
        fresh: there is a new run, which asks the chosen model.

    Raises:
        Enoent: there is no such model, or its weights were not fetched.
        Einval: a run that goes on has another model than is chosen, or than the environment names.
    """
    recorded = sorted(set(filter(None, live)))
    chosen = name_model(choice) if choice or fresh or "" in live else ""
    if choice and not fresh:
        for name in recorded:
            if name != chosen:
                raise Einval(f"{_whose(name)}, and --model says {chosen!r}; {_mend(name)}")
    opened: dict[str, Model] = {}
    if chosen:
        model = open_model(chosen)
        opened.update({"": model, model.name: model, chosen: model})
    others = {name: _open_again(name) for name in recorded if name != chosen}
    short = Counter(model.name for model in others.values())
    for model in others.values():
        if short[model.name] == 1:  # what a program calls it stays its name, where that means one model
            opened.setdefault(model.name, model)
    return opened | others


def _open_again(name: str) -> Model:
    """The model of a run that goes on; where it is not there any more, it is said that it has to come back."""
    try:
        return open_model(name)
    except Enoent as error:
        missing = Enoent(f"{_whose(name)}: {error.message}")
        missing.add_note("let it come back, as the run goes on with it and with no other; prytany models list")
        raise missing from None


def _whose(name: str) -> str:
    return f"what goes on in this home asks the model {name!r}"


def _mend(name: str) -> str:
    if name.startswith(REMOTE):
        return f"set PRYTANY_MODEL_URL to its endpoint and PRYTANY_MODEL_NAME={name.removeprefix(REMOTE)}"
    return f"give --model {name}, or none"


def open_model(name: str) -> Model:
    """The model of a recorded name. Raises Enoent, and Einval for a file that is no model, or another endpoint."""
    if name == "scripted":
        from prytany.drivers.models.scripted import ScriptedModel

        return ScriptedModel()
    if not name.startswith(REMOTE):
        return open_local(name)
    from prytany.drivers.models.openai import OpenAINative

    wanted = name.removeprefix(REMOTE)
    if not os.environ.get("PRYTANY_MODEL_URL") or os.environ.get("PRYTANY_MODEL_NAME", wanted) != wanted:
        raise Einval(f"{_whose(name)}; {_mend(name)}")
    return OpenAINative(wanted, base_url=_url(), key=os.environ.get("PRYTANY_MODEL_KEY"))


def _no_model(message: str) -> Enoent:
    error = Enoent(message)
    error.add_note(
        "prytany models list shows which there are;"
        " one of an endpoint is named by PRYTANY_MODEL_NAME, with `--model remote`"
    )
    return error


def _unset(message: str) -> Einval:
    error = Einval(message)
    error.add_note(
        "an endpoint is PRYTANY_MODEL_URL, such as https://api.example.com/v1, PRYTANY_MODEL_NAME, and"
        " PRYTANY_MODEL_KEY where it wants one; `--model scripted` needs no model"
    )
    return error


def _url() -> str:
    url = os.environ.get("PRYTANY_MODEL_URL", "")
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise Einval(f"PRYTANY_MODEL_URL is no address: {url!r}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_ok:
        raise _unset(f"PRYTANY_MODEL_URL is {url!r}, and has to be http://… or https://…")
    return url


def open_local(name: str) -> Model:
    """The model of a file, by its path, or `local`, the one that was fetched. Raises Enoent, Einval."""
    from prytany.drivers.models.local import LocalModel
    from prytany.drivers.models.weights import GET_ENGINE, NO_ENGINE, cache_path, find_weights, has_engine
    from prytany.system.gguf import check_header
    from prytany.system.model_files import RESERVED
    from prytany.system.wording import quoted

    if not has_engine():
        error = Enoent(NO_ENGINE)
        error.add_note(f"{GET_ENGINE}; `--model scripted` does without, and PRYTANY_MODEL_URL names an endpoint")
        raise error
    if name == "local":
        found = find_weights()
        if found is None:
            raise Enoent(
                "the local model is not here; `prytany models fetch` gets it, `--model scripted` does without."
                f" Without a network, copy it to {cache_path()}, or let {DEFAULT} name a .gguf file"
            )
        return LocalModel(found, slots_wanted())
    path = Path(name)
    if not os.path.isfile(path):
        raise _no_model(f"there is no model {quoted(name)}: `scripted`, `local`, `remote`, or a .gguf file")
    try:
        check_header(path)
    except (Enoent, Einval) as error:
        raise type(error)(f"{quoted(name)} is no model that can be asked: {error.message}") from None
    return LocalModel(path, slots_wanted(), name=name if path.stem in RESERVED else path.stem)


def slots_wanted() -> int:
    """What PRYTANY_MODEL_SLOTS says. Raises Einval where that is no such number."""
    said = os.environ.get(SLOTS, "") or str(SLOTS_DEFAULT)
    if not (said.isascii() and said.isdecimal() and len(said) <= 3 and 1 <= int(said) <= SLOTS_MAX):
        raise Einval(f"{SLOTS} is {said[:40]!r}, and has to be a number from 1 to {SLOTS_MAX}")
    return int(said)
