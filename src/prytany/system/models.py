"""Which model a run asks: the scripted one, a file, or an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from pathlib import Path

from prytany.abi.errors import Enoent
from prytany.ports.model import Model


def open_models(choice: str) -> dict[str, Model]:
    """The models by name; the chosen one is also the default, "".

    Args:
        choice: `scripted`, `local`, a `.gguf` file, or "" for PRYTANY_MODEL_URL's endpoint if that is set, else
        `local`.

    Raises:
        Enoent: there is no such model, or its weights were not fetched.
    """
    url = os.environ.get("PRYTANY_MODEL_URL", "")
    model: Model
    if choice == "scripted":
        from prytany.drivers.models.scripted import ScriptedModel

        model = ScriptedModel()
    elif url and choice in ("", "remote"):
        from prytany.drivers.models.openai import OpenAINative

        name = os.environ.get("PRYTANY_MODEL_NAME", "default")
        model = OpenAINative(name, base_url=url, key=os.environ.get("PRYTANY_MODEL_KEY"))
    else:
        model = _local(choice)
    return {"": model, model.name: model}


def _local(choice: str) -> Model:
    from prytany.drivers.models.local import LocalModel
    from prytany.drivers.models.weights import find_weights

    if choice in ("", "local"):
        path = find_weights()
        if path is None:
            raise Enoent("the local model is not here; `prytany models fetch` gets it, `--model scripted` does without")
    else:
        path = Path(choice)
        if not path.is_file():
            raise Enoent(f"there is no model {choice!r}: `scripted`, `local`, or a .gguf file")
    return LocalModel(path)
