"""The closed list of errors a system call can end with.

One class an errno, so that a program writes `except Eagain` or asks `error.retryable`, and never reads the text.
The list only grows: a number, once given, keeps its meaning for as long as a journal that holds it can be read.

    KernelError
    ├── Eperm Eacces Epolicy          you may not
    ├── Enoent Esrch Echild Einval    you asked for what is not there, or wrongly
    ├── Eagain Ebusy Etimedout Eintr  not now (retryable)
    ├── Edquot Enospc                 something bounded is full
    ├── Edeadlk Epipe Ecanceled       somebody else ended it
    ├── Eio Emodel Etool              what is behind a driver failed
    └── Ereplay Eindoubt              the record and the world disagree

Control flow (`Killed`, `ProcessExit`) derives from BaseException, so that `except Exception` swallows no kill.
"""

from __future__ import annotations

from typing import ClassVar


class KernelError(Exception):
    """A system call was refused or failed.

    Attributes:
        errno: the stable name, e.g. "EPERM".
        code: the stable number (Linux's where Linux has one, 200 and up for ours).
        retryable: the same call may succeed later with nothing else changed. Part of the class, not of the instance.
        call: the system call that failed, or "" where none was involved.
        detail: machine-readable facts; only strings, numbers and lists of them.
    """

    errno: ClassVar[str] = "EIO"
    code: ClassVar[int] = 5
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, call: str = "", detail: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.call = call
        self.detail = detail or {}

    def __str__(self) -> str:
        where = f" in {self.call}" if self.call else ""
        return f"[{self.errno}{where}] {self.message}"


class Eperm(KernelError):
    """The call is not in the caller's pledge, or is nobody's to make."""

    errno, code = "EPERM", 1


class Enoent(KernelError):
    """No such file, name or object."""

    errno, code = "ENOENT", 2


class Esrch(KernelError):
    """No such process, or it was already reaped."""

    errno, code = "ESRCH", 3


class Eintr(KernelError):
    """A signal arrived while the call waited."""

    errno, code, retryable = "EINTR", 4, True


class Eio(KernelError):
    """Storage or a channel failed below the kernel."""

    errno, code = "EIO", 5


class Echild(KernelError):
    """The caller has no such child to wait for."""

    errno, code = "ECHILD", 10


class Eagain(KernelError):
    """A bounded thing is full now; it drains by itself."""

    errno, code, retryable = "EAGAIN", 11, True


class Eacces(KernelError):
    """The object exists and is not open to the caller: not unveiled, or not in this mode."""

    errno, code = "EACCES", 13


class Ebusy(KernelError):
    """The object is held by another; it may be let go."""

    errno, code, retryable = "EBUSY", 16, True


class Einval(KernelError):
    """An argument is missing, of the wrong type, or out of its bounds."""

    errno, code = "EINVAL", 22


class Enospc(KernelError):
    """The disk is full; the reserve is kept for the operator."""

    errno, code = "ENOSPC", 28


class Epipe(KernelError):
    """The other end is gone."""

    errno, code = "EPIPE", 32


class Edeadlk(KernelError):
    """Waiting would close a cycle."""

    errno, code = "EDEADLK", 35


class Etimedout(KernelError):
    """The deadline passed first."""

    errno, code, retryable = "ETIMEDOUT", 110, True


class Edquot(KernelError):
    """A quota of the process or of its tenant is used up."""

    errno, code = "EDQUOT", 122


class Ecanceled(KernelError):
    """The call was cancelled before it had a result."""

    errno, code = "ECANCELED", 125


class Emodel(KernelError):
    """A model endpoint failed; `detail["cause"]` says how."""

    errno, code = "EMODEL", 200


class Etool(KernelError):
    """A tool failed; `detail["cause"]` says how."""

    errno, code = "ETOOL", 201


class Ereplay(KernelError):
    """A replayed program asked for something else than it did when it was recorded."""

    errno, code = "EREPLAY", 202


class Eindoubt(KernelError):
    """An effect was begun and its outcome is not known."""

    errno, code = "EINDOUBT", 203


class Epolicy(KernelError):
    """A rule of the operator forbids it."""

    errno, code = "EPOLICY", 204


ERRORS: dict[str, type[KernelError]] = {
    cls.errno: cls
    for cls in (
        Eperm, Enoent, Esrch, Eintr, Eio, Echild, Eagain, Eacces, Ebusy, Einval, Enospc, Epipe, Edeadlk,
        Etimedout, Edquot, Ecanceled, Emodel, Etool, Ereplay, Eindoubt, Epolicy,
    )
}  # fmt: skip
"""Every errno by its stable name."""


def error_of(errno: str, message: str, *, call: str = "", detail: dict[str, object] | None = None) -> KernelError:
    """The error that a stable name stands for; an unknown name (a newer kernel's) becomes an EIO that says so."""
    cls = ERRORS.get(errno)
    if cls is None:
        return Eio(f"{message} (errno {errno} is unknown to this version)", call=call, detail=detail)
    return cls(message, call=call, detail=detail)


class KernelPanic(RuntimeError):
    """A bug of ours: an invariant does not hold. The kernel stops and the journal stays."""


class Killed(BaseException):
    """KILL reached the process."""


class ProcessExit(BaseException):
    """The program asked to end."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status
