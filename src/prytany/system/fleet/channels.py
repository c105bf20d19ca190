"""The channels of a fleet, by which people are told: what the kernel keeps of each, and the couriers that it asks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

import msgspec

from prytany.abi import notices
from prytany.abi.errors import Eio, Enoent, KernelError
from prytany.drivers.couriers.command import CommandCourier
from prytany.drivers.couriers.webhook import Target, WebhookCourier
from prytany.kernel.fleets import ChannelForm
from prytany.kernel.kernel import Kernel
from prytany.kernel.notices import key_of
from prytany.ports.courier import Courier, Missed
from prytany.system.fleet.form import Key, Notice, Secret
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.secrets import read_secret

_REST = 40
"""Characters of a label's end."""


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a channel's courier needs, as the journal keeps it: where secrets are from, and no secret."""

    notice: Notice
    folder: str
    secrets: dict[str, Secret] = {}


_decoder = msgspec.msgpack.Decoder(Definition)


def definitions(fleet: ResolvedFleet) -> list[Definition]:
    """Of each channel of a fleet, in the order of its file."""
    return [
        Definition(
            notice=notice,
            folder=fleet.folder,
            secrets={name: fleet.secrets[name] for name in sorted(_secrets_of(notice)) if name in fleet.secrets},
        )
        for notice in fleet.notify
    ]


def forms_of(fleet: ResolvedFleet) -> list[ChannelForm]:
    """The channels of a fleet, as they are declared to the kernel."""
    return [
        ChannelForm(label_of(d.notice), d.notice.of or notices.KINDS, msgspec.msgpack.encode(d))
        for d in definitions(fleet)
    ]


def secrets_now(
    fleet: ResolvedFleet, environment: Mapping[str, str] = os.environ, lacking: dict[str, str] | None = None
) -> dict[str, str]:
    """The secrets of its channels as they are now, by their names. Into `lacking`, where there is one, goes why a
    channel has not all of its own, by its label; else that is raised, as Enoent, Eacces or Einval."""
    found: dict[str, str] = {}
    for definition in definitions(fleet):
        for name in sorted(_secrets_of(definition.notice)):
            try:
                if (secret := definition.secrets.get(name)) is None:
                    raise Enoent(f"there is no secret {name!r}")
                found[name] = read_secret(name, secret, definition.folder, environment)
            except KernelError as error:
                if lacking is None:
                    raise
                lacking[label_of(definition.notice)] = error.message
    return found


def secrets_named(fleet: ResolvedFleet) -> set[str]:
    """The names of the secrets that its channels have."""
    return {name for notice in fleet.notify for name in _secrets_of(notice)}


def label_of(notice: Notice) -> str:
    """What people are shown of a channel. Of an address no more than the host, since the rest may be a secret."""
    if notice.command:
        return f"command {os.path.basename(notice.command[0])[:_REST]}"
    if isinstance(notice.webhook, str):
        return f"webhook {urlsplit(notice.webhook).hostname or ''}"[:_REST]
    return f"webhook in the secret {notice.webhook.secret if notice.webhook else ''}"[: 2 * _REST]


def courier_of(definition: Definition, environment: Mapping[str, str] = os.environ) -> Courier:
    """The courier of a channel. Secrets are taken at each attempt, from the operator's environment or their files."""
    if definition.notice.command:
        return CommandCourier(
            definition.notice.command, folder=definition.folder,
            secrets=lambda: {
                name: _read(definition, key.secret, environment) for name, key in definition.notice.env.items()
            },
        )  # fmt: skip
    return WebhookCourier(partial(_target, definition, environment))


def open_couriers(
    couriers: dict[str, Courier], kernel: Kernel, number: int, fleet: ResolvedFleet, environment: Mapping[str, str]
) -> None:
    """Have a courier for each channel of a fleet that was brought, and none for those that are gone."""
    for key in list(couriers):
        of, _, at = key.partition("/")
        there = kernel.fleets.fleets.get(int(of))
        if there is None or int(at) not in there.channels:
            del couriers[key]
    couriers.update((key_of(number, at), courier_of(d, environment)) for at, d in enumerate(definitions(fleet)))


def couriers_back(kernel: Kernel, number: int, environment: Mapping[str, str]) -> dict[str, Courier]:
    """The couriers of a fleet that is in the journal, by their channels. A channel whose definition cannot be read has
    none: what it has to tell waits."""
    found: dict[str, Courier] = {}
    for channel in kernel.fleets.fleets[number].channels.values():
        with contextlib.suppress(KernelError, msgspec.MsgspecError):
            found[key_of(number, channel.at)] = courier_of(
                _decoder.decode(kernel.content(channel.definition)), environment
            )
    return found


def _target(definition: Definition, environment: Mapping[str, str]) -> Target:
    notice = definition.notice
    headers = {name: _read(definition, key.secret, environment) for name, key in notice.headers.items()}
    secrets = {key.secret: headers[name] for name, key in notice.headers.items()}
    address = notice.webhook if isinstance(notice.webhook, str) else ""
    if isinstance(notice.webhook, Key):
        address = secrets[notice.webhook.secret] = _read(definition, notice.webhook.secret, environment)
    return Target(address, headers, secrets)


def _read(definition: Definition, name: str, environment: Mapping[str, str]) -> str:
    try:
        secret = definition.secrets.get(name)
        if secret is None:
            raise Eio(f"there is no secret {name!r}")
        return read_secret(name, secret, definition.folder, environment)
    except KernelError as error:
        raise Missed("no secret", error.message.encode()) from None


def _secrets_of(notice: Notice) -> set[str]:
    keys = [*notice.headers.values(), *notice.env.values()]
    if isinstance(notice.webhook, Key):
        keys.append(notice.webhook)
    return {key.secret for key in keys}
