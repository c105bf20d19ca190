"""The fleet files of the manual are read without a fault, and the page names every key that an agent can have."""

from __future__ import annotations

import re

from prytany.system.fleet.document import parse_document
from prytany.system.fleet.form import Agent, Fleet
from prytany.system.fleet.reading import Reader
from tests.tidy.repository import ROOT

PAGE = (ROOT / "docs" / "manual" / "fleets.md").read_text()


def test_the_files_of_the_page_are_sound() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        reader = Reader({})
        reader.read(parse_document(block.encode(), "fleets.md"), Fleet)
        assert reader.faults == []


def test_the_page_names_every_key_of_an_agent() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(Agent.__struct_fields__) - named == {"kind"}
