"""The fleet files of the manual are read without a fault, and the page names every key that an agent can have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from prytany.abi import notices
from prytany.kernel.letters import trial
from prytany.system.fleet.document import parse_document
from prytany.system.fleet.form import Agent, Fleet, Notice
from prytany.system.fleet.form_base import Form
from prytany.system.fleet.form_terms import AgentBudget, Class, Limits, Policy, Preempts, Route
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.meaning import find_faults
from prytany.system.fleet.reading import Reader, as_form
from prytany.system.fleet.resolved import resolve
from tests.tidy.repository import ROOT

PAGE = (ROOT / "docs" / "manual" / "fleets.md").read_text()
NOTICES = (ROOT / "docs" / "manual" / "notices.md").read_text()


def test_the_files_of_the_page_are_sound() -> None:
    blocks = [block for page in (PAGE, NOTICES) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert len(blocks) >= 2
    for block in blocks:
        reader = Reader({})
        reader.read(parse_document(block.encode(), "fleets.md"), Fleet)
        assert reader.faults == []


def test_the_page_of_notices_names_every_key_kind_and_field_of_one(tmp_path: Path) -> None:
    named = set(re.findall(r"`([a-z_]+)`", NOTICES))
    assert set(Notice.__struct_fields__) | set(notices.KINDS) <= named
    (block,) = re.findall(r"```yaml\n(.*?)```", NOTICES, re.DOTALL)
    reader = Reader({})
    fleet = as_form(reader.read(parse_document(block.encode(), "notices.md"), Fleet), Fleet)
    faults = find_faults(fleet, tmp_path, reader.places, lambda target: None)  # type: ignore[arg-type, return-value]
    assert [fault.what for fault in faults if "logger" not in fault.what] == []
    (shown,) = re.findall(r"```json\n(.*?)```", NOTICES, re.DOTALL)
    assert set(json.loads(shown)) == set(json.loads(trial("x", "shop", "1", 0).body))


def test_the_pages_of_turns_and_budgets_name_every_key_and_word_and_their_files_are_sound(tmp_path: Path) -> None:
    parts: dict[str, tuple[type[Form], ...]] = {"scheduling": (Limits, Route), "budgets": (AgentBudget,)}
    words = [*get_args(Policy), *get_args(Class), *get_args(Preempts), "policy", "preempts", "fallback", "routes"]
    for page, forms in parts.items():
        text = (ROOT / "docs" / "manual" / f"{page}.md").read_text()
        named = set(re.findall(r"`([a-z_]+)`", text)) | set(re.findall(r"\b([a-z_]+): ", text))
        assert {key for form in forms for key in form.__struct_fields__} <= named
        assert page != "scheduling" or set(words) <= named
        (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        (tmp_path / "fleet.yaml").write_text(block)
        assert resolve(load_fleet(tmp_path / "fleet.yaml", {}).fleet, tmp_path, {}).agents


def test_the_page_names_every_key_of_an_agent() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(Agent.__struct_fields__) - named == {"kind"}
