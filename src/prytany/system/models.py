"""Which model a run asks: the scripted one, a file, or an OpenAI-compatible endpoint.

A run keeps its model: the name below is recorded with it, and whoever resumes it is given the same one, or refused.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from prytany.abi.errors import Einval, Enoent
from prytany.ports.model import Model

REMOTE = "remote:"
"""What the recorded name of an endpoint's model begins with."""


def name_model(choice: str) -> str:
    """What is recorded of a choice: `scripted`, `local`, a file's whole path, or `remote:` and the endpoint's name.

    Args:
        choice: `scripted`, `local`, a `.gguf` file, `remote`, or "" for PRYTANY_MODEL_URL's endpoint if that is set,
        else `local`.

    Raises:
        Einval: PRYTANY_MODEL_URL or PRYTANY_MODEL_NAME are not set as an endpoint needs it.
    """
    if choice == "remote" or (not choice and os.environ.get("PRYTANY_MODEL_URL")):
        if not os.environ.get("PRYTANY_MODEL_URL"):
            raise _unset("PRYTANY_MODEL_URL is not set: where is the endpoint?")
        _url()
        name = os.environ.get("PRYTANY_MODEL_NAME", "")
        if not name:
            raise _unset("PRYTANY_MODEL_URL is set, and PRYTANY_MODEL_NAME is not: which of its models is meant?")
        return REMOTE + name
    if choice in ("", "local", "scripted") or choice.startswith(REMOTE):
        return choice or "local"
    return str(Path(choice).absolute())


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
        model = _open(chosen)
        opened.update({"": model, model.name: model, chosen: model})
    for name in recorded:
        if name not in opened:
            opened[name] = _open(name)
    return opened


def _whose(name: str) -> str:
    return f"what goes on in this home asks the model {name!r}"


def _mend(name: str) -> str:
    if name.startswith(REMOTE):
        return f"set PRYTANY_MODEL_URL to its endpoint and PRYTANY_MODEL_NAME={name.removeprefix(REMOTE)}"
    return f"give --model {name}, or none"


def _open(name: str) -> Model:
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
    """The model of a file, or `local`, the one that was fetched. Raises Enoent."""
    from prytany.drivers.models.local import LocalModel
    from prytany.drivers.models.weights import find_weights

    if name == "local":
        path = find_weights()
        if path is None:
            raise Enoent("the local model is not here; `prytany models fetch` gets it, `--model scripted` does without")
    else:
        path = Path(name)
        if not path.is_file():
            error = Enoent(f"there is no model {name!r}: `scripted`, `local`, `remote`, or a .gguf file")
            error.add_note("a model of an endpoint is named by PRYTANY_MODEL_NAME, with `--model remote`")
            raise error
    return LocalModel(path)
