"""`notify` of a fleet file: what is wrong with it, what has to be trusted, and what the journal keeps of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from prytany.abi import notices
from prytany.drivers.couriers.command import CommandCourier
from prytany.drivers.couriers.webhook import WebhookCourier
from prytany.system.fleet.channels import Definition, courier_of, definitions, forms_of, label_of
from prytany.system.fleet.faults import FleetError
from prytany.system.fleet.form import Key, Notice
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.trust import digest_of, what_is_trusted

SECRET = "-".join(("very", "secret", "0123456789"))
FILE = """
version: 1
name: one
secrets: {pager: {env: PAGER}}
agents: {one: {program: main.py:main}}
notify:
"""


def load(folder: Path, notify: str) -> ResolvedFleet:
    (folder / "main.py").write_text("async def main(proc):\n    pass\n")
    (folder / "fleet.yaml").write_text(FILE + notify)
    return resolve(load_fleet(folder / "fleet.yaml", {}).fleet, folder, {})


@pytest.mark.parametrize(("notify", "expected"), [
    ("- {}", "7:3: notify[0]: say who is told"),
    ("- {command: [sh], webhook: 'https://a/'}", "notify[0]: say who is told"),
    ("- {command: []}", "notify[0].command: it is empty"),
    ("- {command: ['']}", "notify[0].command: it is empty"),
    ("- {command: [no-such]}", "notify[0].command[0]: there is no program 'no-such' in /"),
    ("- {command: [./no]}", "notify[0].command[0]: there is no program './no' from "),
    ("- {command: [sh, \"a\\0b\"]}", "notify[0].command[1]: '\\x00' in it cannot be seen"),
    ("- {command: sh}", "notify[0].command: a list is wanted"),
    ("- {webhook: x}", "notify[0].webhook: 'x' has to begin with https://"),
    ("- {webhook: 'http://example.com/'}", "notify[0].webhook: 'http://example.com/' has to begin with https://"),
    ("- {webhook: 'file:///etc/passwd'}", "notify[0].webhook: "),
    ("- {webhook: 'https://u:p@a/'}", "notify[0].webhook: "),
    ("- {webhook: [x]}", "notify[0].webhook: "),
    ("- {webhook: {secret: no}}", "notify[0].webhook.secret: there is no secret 'no'"),
    ("- {webhook: 'https://a/', of: []}", "notify[0].of: it is empty"),
    ("- {webhook: 'https://a/', of: [doubts]}", "notify[0].of[0]: "),
    ("- {webhook: 'https://a/', env: {A: {secret: pager}}}", "notify[0].env: a webhook has none"),
    ("- {command: [sh], headers: {A: {secret: pager}}}", "notify[0].headers: a command has none"),
    ("- {webhook: 'https://a/', headers: {Host: {secret: pager}}}", "notify[0].headers.Host: this header is not yours"),
    ("- {webhook: 'https://a/', headers: {'A: B': {secret: pager}}}", "notify[0].headers.A: B: "),
    ("- {webhook: 'https://a/', headers: {A: {secret: no}}}", "notify[0].headers.A.secret: there is no secret 'no'"),
    ("- {command: [sh], env: {'A=B': {secret: pager}}}", "notify[0].env.A=B: "),
    ("- {command: [sh]}\n" * 17, "notify[16]: 16 are the most"),
    ("- {command: [sh], shell: true}", "notify[0].shell: there is no such key"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, notify: str, expected: str) -> None:
    with pytest.raises(FleetError) as caught:
        load(tmp_path, notify)
    assert expected in str(caught.value)


def test_a_program_is_from_the_fleets_folder_and_its_text_is_what_is_trusted(tmp_path: Path) -> None:
    page = tmp_path / "page.sh"
    page.write_text("#!/bin/sh\n")
    page.chmod(0o700)
    fleet = load(tmp_path, "- {command: [./page.sh, config.txt], env: {KEY: {secret: pager}}}")
    assert fleet.notify[0].command == [str(page), "config.txt"]
    assert what_is_trusted(fleet) == [
        f"notices run the command {page} config.txt, with the secret pager (the variable PAGER)"
    ]
    digests = {digest_of(fleet)}
    page.write_text("#!/bin/sh\nrm -r /\n")
    digests.add(digest_of(fleet))
    (tmp_path / "config.txt").write_text("x")
    digests.add(digest_of(fleet))
    assert len(digests) == 3


def test_an_address_outside_has_to_be_trusted_and_one_that_is_a_secret_is_not_shown(tmp_path: Path) -> None:
    fleet = load(tmp_path, "- {webhook: 'https://example.com/a/b', headers: {X: {secret: pager}}}\n"
                           "- {webhook: {secret: pager}, of: [doubt]}")  # fmt: skip
    assert what_is_trusted(fleet) == [
        "notices are sent to https://example.com/a/b, with the secret pager (the variable PAGER)",
        "notices are sent to the address in the secret pager (the variable PAGER)",
    ]
    assert [form.label for form in forms_of(fleet)] == ["webhook example.com", "webhook in the secret pager"]
    assert [list(form.kinds) for form in forms_of(fleet)] == [list(notices.KINDS), ["doubt"]]


def test_what_the_journal_keeps_of_a_channel_makes_its_courier_again_and_holds_no_secret(tmp_path: Path) -> None:
    fleet = load(tmp_path, "- {command: [sh], env: {KEY: {secret: pager}}}\n- {webhook: {secret: pager}}")
    for form, kind in zip(forms_of(fleet), (CommandCourier, WebhookCourier), strict=True):
        definition = msgspec.msgpack.decode(form.definition, type=Definition)
        assert isinstance(courier_of(definition, {"PAGER": SECRET}), kind)
        assert SECRET.encode() not in form.definition
    assert definitions(fleet)[0].secrets["pager"].env == "PAGER"


def test_a_label_is_short_and_shows_no_path_of_an_address() -> None:
    assert label_of(Notice(webhook="https://hooks.example/T000/B000/XXXX")) == "webhook hooks.example"
    assert label_of(Notice(command=["/a/b/page", "--key=x"])) == "command page"
    assert label_of(Notice(webhook=Key(secret="s" * 500))).startswith("webhook in the secret sss")
    assert len(label_of(Notice(webhook=f"https://{'a' * 500}/"))) <= 40


def test_the_kinds_of_the_form_are_those_that_there_are() -> None:
    for kind in notices.KINDS:
        assert msgspec.convert({"of": [kind]}, Notice).of == [kind]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"of": ["test"]}, Notice)
