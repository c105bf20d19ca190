"""Prytany: an operating system for AI agents.

What an agent's author needs is here, imported when it is first used; the rest is reached through the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prytany.abi.errors import KernelError
    from prytany.userland.agent import agent
    from prytany.userland.answers import Answer, TextStream, ToolCall
    from prytany.userland.asking import image
    from prytany.userland.conversation import Conversation
    from prytany.userland.messages import Received
    from prytany.userland.process import ChildFailed, Exit, Process
    from prytany.userland.server import Server
    from prytany.userland.tool import tool
    from prytany.userland.topics import on

__version__ = "0.1.0.dev0"
__all__ = [
    "Answer",
    "ChildFailed",
    "Conversation",
    "Exit",
    "KernelError",
    "Process",
    "Received",
    "Server",
    "TextStream",
    "ToolCall",
    "agent",
    "image",
    "on",
    "tool",
]

_HOMES = {
    "Answer": "prytany.userland.answers",
    "ChildFailed": "prytany.userland.process",
    "Conversation": "prytany.userland.conversation",
    "Exit": "prytany.userland.process",
    "KernelError": "prytany.abi.errors",
    "Process": "prytany.userland.process",
    "Received": "prytany.userland.messages",
    "Server": "prytany.userland.server",
    "TextStream": "prytany.userland.answers",
    "ToolCall": "prytany.userland.answers",
    "agent": "prytany.userland.agent",
    "image": "prytany.userland.asking",
    "on": "prytany.userland.topics",
    "tool": "prytany.userland.tool",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'prytany' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
