"""The form of a fleet file: every key that it can have, with its type, its bounds and what it means.

The JSON Schema that editors use is made from these classes, and so is the page of the manual.
"""

# ruff: noqa: RUF012 - structs do not share their defaults
from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from prytany.abi import limits
from prytany.abi.qos import WEIGHT_MAX
from prytany.ports.model import Prices as Known
from prytany.system.fleet.form_base import NAME, Form, Name
from prytany.system.fleet.form_terms import (
    PERCENT,
    AgentBudgeted,
    Class,
    Limits,
    Policy,
    Preempts,
    Route,
    RunBudgeted,
    Spares,
)
from prytany.system.fleet.form_trees import SPAN, Group, Replicas, Restart, Span
from prytany.system.fleet.form_triggers import Trigger

PROMPT = "prompt"
"""In the extra of a type's metadata: its text is handed to a model as it stands."""
SHOWN = "shown"
"""The same: people are shown it, too, so it has no hidden characters."""
CREDENTIAL = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
HEADER = r"^[A-Za-z0-9-]+$"
PATTERNS = {
    NAME: "of letters, digits, `-` and `_`, and begin with a letter",
    VARIABLE: "of letters, digits and `_`, and not begin with a digit",
    HEADER: "of letters, digits and `-`",
    CREDENTIAL: "of letters, digits, `-`, `_` and `.`, and not begin with `-` or `.`",
    PERCENT: "a whole number from 1 to 100 and `%`",
    SPAN: "a number and `ms`, `s`, `m`, `h` or `d`",
}
"""In words."""
ADDRESS_CHARS_MAX = 2_048
Tag = Annotated[str, Meta(pattern=NAME, max_length=limits.TAG_CHARS_MAX, description="letters, digits, `-` and `_`")]
Prompt = Annotated[str, Meta(extra={PROMPT: True}, min_length=1, max_length=64 << 10)]
Place = Annotated[str, Meta(min_length=1, max_length=1_024, description="from the fleet file's folder")]
Mode = Literal["r", "rw"]
Header = Annotated[str, Meta(pattern=HEADER, max_length=64)]
Variable = Annotated[str, Meta(pattern=VARIABLE, max_length=64)]
Kind = Literal["doubt", "incident", "failure", "storm", "limit", "budget"]
"""As `abi.notices` has them."""
USD_PER_MILLION_MAX = 1_000_000.0
"""A dollar a token: who writes more has forgotten that prices are for a million."""


class Secret(Form, frozen=True):
    """Where a secret is taken from: one of the three."""

    env: Annotated[str, Meta(pattern=VARIABLE, max_length=256, description="a variable of the environment")] | None = (
        None
    )
    file: Annotated[Place, Meta(description="a file, 0600; its first line is the secret")] | None = None
    credential: (
        Annotated[
            str,
            Meta(
                pattern=CREDENTIAL,
                max_length=128,
                description="what a service manager hands over under this name: systemd's LoadCredential",
            ),
        ]
        | None
    ) = None


class Key(Form, frozen=True):
    """A secret, by its name."""

    secret: Annotated[Name, Meta(description="one of `secrets`")]


class Prices(Form, frozen=True):
    """US dollars a million tokens."""

    input: Annotated[float, Meta(ge=0, le=USD_PER_MILLION_MAX, description="of what is asked")]
    output: Annotated[float, Meta(ge=0, le=USD_PER_MILLION_MAX, description="of what is answered")]
    cached: (
        Annotated[float, Meta(ge=0, le=USD_PER_MILLION_MAX, description="of input that the endpoint read before")]
        | None
    ) = None

    @property
    def known(self) -> Known:
        """As drivers take them."""
        return Known(self.input, self.output, self.cached)


class Model(Form, frozen=True):
    """A model that agents can name."""

    driver: Annotated[
        Literal["openai", "local", "scripted"],
        Meta(description="an OpenAI-compatible endpoint, a model file on this machine, or fixed answers for tests"),
    ]
    base_url: Annotated[str, Meta(max_length=ADDRESS_CHARS_MAX, description="of the endpoint, up to `/v1`")] | None = (
        None
    )
    model: Annotated[str, Meta(min_length=1, max_length=256, description="the endpoint's own name of it")] | None = None
    key: Annotated[Key | None, Meta(description="where the endpoint wants one")] = None
    file: (
        Annotated[
            Place,
            Meta(
                description="`local`: a .gguf file, else the one that `prytany models fetch` gets; `scripted`: a script"
            ),
        ]
        | None
    ) = None
    prices: Annotated[Prices | None, Meta(description="US dollars a million tokens, where they are not known")] = None
    limits: Annotated[Limits | None, Meta(description="what may be asked of it at once, and within a minute")] = None
    policy: Annotated[Policy | None, Meta(description="in which order calls begin that wait; `classes` by default")] = (
        None
    )
    preempts: (
        Annotated[
            Preempts,
            Meta(
                description="which generations give way to more urgent ones: those of which nobody has seen anything "
                "(`undelivered`), or, on a `local` one, any, with its slot saved (`saved`)"
            ),
        ]
        | None
    ) = None
    spares: Annotated[Spares | None, Meta(description="which calls need not be made; all are by default")] = None
    fallback: Annotated[list[Name] | None, Meta(description="who stands in while it cannot be asked, in order")] = None
    routes: Annotated[list[Route] | None, Meta(description="which calls go to another model; the first that fits")] = (
        None
    )
    tools: (
        Annotated[
            Literal["native", "schema"],
            Meta(description="how it calls them; `schema` forces {tool, arguments} on a model that cannot by itself"),
        ]
        | None
    ) = None


class Tools(Form, frozen=True):
    """A file of tools. Agents name them `FILE.TOOL`, or all of a file by the name it has here."""

    python: Annotated[Place, Meta(description="a Python file of tools")]


class Rights(Form, frozen=True):
    """What an agent may have, whatever it is; `defaults` gives what an agent does not say."""

    model: Annotated[Name, Meta(description="one of `models`; `default`, where there is one")] | None = None
    tools: Annotated[list[str], Meta(description="tools, or files of tools; none, where nothing is said")] | None = None
    unveil: (
        Annotated[
            dict[str, Mode], Meta(description="folders, by a name of `folders` or a path: `r` to read, `rw` to write")
        ]
        | None
    ) = None
    spawns: Annotated[list[Name], Meta(description="the agents of this file that it may start")] | None = None
    handoff: (
        Annotated[list[Name], Meta(description="the agents of this file that it may hand a conversation over to")]
        | None
    ) = None
    restarts: (
        Annotated[int, Meta(ge=0, le=limits.RESTARTS_MAX, description="how many times it is begun again when it fails")]
        | None
    ) = None
    restart: (
        Annotated[Restart, Meta(description="which of its ends are not for good, where it is supervised")] | None
    ) = None
    shutdown: Annotated[Span, Meta(description="between TERM and KILL, when it is ended; 5s")] | None = None
    progress_within: (
        Annotated[
            Span, Meta(description="it fails when it does nothing of its own for so long, and nothing holds it up")
        ]
        | None
    ) = None
    bytes_per_second: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=limits.BYTES_PER_SECOND_MAX,
                description="that its processes read and write together, by files and tools; what is beyond waits",
            ),
        ]
        | None
    ) = None
    tags: (
        Annotated[list[Tag], Meta(description="what `cost` and `ps` tell it apart by, with what it starts")] | None
    ) = None
    qos: Annotated[Class, Meta(description="its class of service: how urgent its calls of models are")] | None = None
    weight: (
        Annotated[int, Meta(ge=1, le=WEIGHT_MAX, description="its share beside the others of its class; 1 by default")]
        | None
    ) = None
    budget: Annotated[AgentBudgeted | None, Meta(description="what each process of it may spend, or `unlimited`")] = (
        None
    )
    mailbox: (
        Annotated[
            int,
            Meta(ge=1, le=limits.MAILBOX_MESSAGES_MAX, description="messages that its mailbox holds; 1024 by default"),
        ]
        | None
    ) = None
    attempts: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=limits.MESSAGE_ATTEMPTS_ASKED_MAX,
                description="how often it may fail at one message, before that is put aside; 3 by default",
            ),
        ]
        | None
    ) = None


class Agent(Rights, frozen=True):
    """One agent. `instruction` makes it a chat agent, `program` a Python one; `kind` can say so too."""

    kind: (
        Annotated[
            Literal["chat", "python", "inline"],
            Meta(description="where its keys do not say it; `inline` is a program in the kernel itself, unconfined"),
        ]
        | None
    ) = None
    about: Annotated[
        str,
        Meta(
            extra={PROMPT: True, SHOWN: True},
            max_length=200,
            description="one line for people, and for agents that can start it",
        ),
    ] = ""
    program: Annotated[Place, Meta(description="`file.py:function`, from the fleet file's folder")] | None = None
    service: Annotated[bool, Meta(description="`up` starts it, and it stays; for a `Server`, or a loop")] | None = None
    replicas: Annotated[
        Replicas | None, Meta(description="so many processes of it, that share a mailbox; where `up` starts it")
    ] = None
    pledge: (
        Annotated[list[str], Meta(description="classes of system calls; what the program declares by default")] | None
    ) = None
    accepts: (
        Annotated[
            dict[str, dict[str, Any]],
            Meta(
                description="the messages that it takes: a JSON Schema of the body by type; else what its program says"
            ),
        ]
        | None
    ) = None
    python: Annotated[Place, Meta(description="an interpreter or virtual environment of its own")] | None = None
    instruction: Annotated[Prompt, Meta(description="what the model is told before anything else")] | None = None
    instruction_from: (
        Annotated[Place, Meta(description="a text file, or a folder with an AGENTS.md, that follows the instruction")]
        | None
    ) = None
    skills: (
        Annotated[list[Place], Meta(description="folders that hold folders with a SKILL.md; it can read them")] | None
    ) = None
    turns: (
        Annotated[int, Meta(ge=1, le=1_000, description="how often it asks the model before it has to answer")] | None
    ) = None
    answer: (
        Annotated[dict[str, Any], Meta(extra={PROMPT: True}, description="the JSON Schema of its answers")] | None
    ) = None
    temperature: Annotated[float, Meta(ge=0, le=2, description="0 takes the likeliest word each time")] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000, description="of one answer")] | None = None


class Notice(Form, frozen=True):
    """Who is told of what needs a person: one of `command` and `webhook`."""

    command: (
        Annotated[
            list[str],
            Meta(description="a program and its arguments, executed without a shell; the notice is its standard input"),
        ]
        | None
    ) = None
    webhook: (
        Annotated[
            str,
            Meta(
                max_length=ADDRESS_CHARS_MAX,
                description="an https:// address that is sent the notice as JSON, or the secret that it is",
            ),
        ]
        | Key
        | None
    ) = None
    headers: Annotated[dict[Header, Key], Meta(description="of a webhook: headers whose values are secrets")] = {}
    env: Annotated[dict[Variable, Key], Meta(description="of a command: variables whose values are secrets")] = {}
    of: Annotated[list[Kind], Meta(description="kinds of notices; all, where nothing is said")] | None = None


class Fleet(Form, frozen=True, kw_only=True):
    """A fleet file."""

    version: Annotated[Literal[1], Meta(description="of this form")]
    name: Annotated[Name, Meta(description="shown to people, and what `up` and `down` know it by")]
    entry: Annotated[Name, Meta(description="the agent that `run` starts; the only one, where there is one")] | None = (
        None
    )
    agents: Annotated[dict[Name, Agent], Meta(description="by name")]
    models: Annotated[dict[Name, Model], Meta(description="by name; `default` is for agents that name none")] = {}
    secrets: Annotated[dict[Name, Secret], Meta(description="by name; they never leave the kernel")] = {}
    tools: Annotated[dict[Name, Tools], Meta(description="files of tools, by name")] = {}
    folders: Annotated[
        dict[Name, Place], Meta(description="by name; `--input` and `--output` replace `input` and `output`")
    ] = {}
    defaults: Annotated[Rights, Meta(description="what agents have that say nothing else")] = Rights()
    budget: Annotated[
        RunBudgeted | None, Meta(description="what each run that begins with one of its agents may spend")
    ] = None
    bytes_per_second: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=limits.BYTES_PER_SECOND_MAX,
                description="that all its processes share, by files and tools: interactive ones first, and each agent "
                "as much as another; what is beyond waits",
            ),
        ]
        | None
    ) = None
    supervise: Annotated[
        dict[Name, Group], Meta(description="groups of agents that `up` starts, and that are begun again as they say")
    ] = {}
    notify: Annotated[list[Notice], Meta(description="who is told of what needs a person")] = []
    triggers: Annotated[dict[Name, Trigger], Meta(description="what starts agents by itself, by name")] = {}
