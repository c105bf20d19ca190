"""Runs and agents have tags, and what they take is told apart by them: `run --tag`, `ps --tag`, `cost --by tag`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.surfaces.commands import here, prytany

FLEET = """
version: 1
name: shop
models: {default: {driver: scripted, prices: {input: 1, output: 2}}}
defaults: {tags: [shop]}
agents: {sales: {instruction: "You sell.", tags: [team-x, sales]}}
"""


def test_what_a_run_takes_is_told_apart_by_its_tags(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "fleet.yaml").write_text(FLEET)
    ran = prytany("run", str(tmp_path), "--tag", "mine", "--tag", "sales", "--arg", "prompt=Eggs?", home=home)
    assert ran.returncode == 0, ran.stderr
    (row,) = [json.loads(line) for line in here("ps", "--tag", "mine", "--json", home=home).stdout.splitlines()]
    assert row["tags"] == ["mine", "sales", "team-x"]
    assert here("ps", "--tag", "other", "--json", home=home).stdout == ""
    assert "tags         mine sales team-x" in here("inspect", "1", home=home).stdout
    *rows, total = [
        json.loads(line) for line in here("cost", "--by", "agent,tag", "--json", home=home).stdout.splitlines()
    ]
    assert {(row["agent"], row["tag"]) for row in rows} == {("shop.sales", tag) for tag in ("mine", "sales", "team-x")}
    assert {row["cost_usd_micros"] for row in rows} == {total["cost_usd_micros"]}
    assert total["cost_usd_micros"] > total["unpriced"] == total["free"] == 0
    shown = here("cost", "--by", "tag", "--tag", "mine", home=home)
    assert "who has several tags counts under each of them" in shown.stderr


@pytest.mark.parametrize("words", [["ps"], ["cost"], ["run", "."], ["up", "."], ["chat"]])
def test_what_is_no_tag_is_said_and_cannot_steer_the_terminal(tmp_path: Path, words: list[str]) -> None:
    done = here(*words, "--tag", "\x1b[31mred", home=tmp_path / "home")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
