"""How an interpreter begins as a zygote: it is given the kernel's own `prytany`, and nothing else of the kernel's.

Executed by its path, so that it works in any virtual environment: `prytany` is imported from where this file lies, by
itself, without a folder on `sys.path` that would bring the kernel's other packages along. What a worker needs beside it
has to be installed in that environment. Must run on any Python 3, if only to say that it is too old.
"""

import importlib.util
import os
import sys

NEEDS = ("msgspec", "pyseccomp")
PYTHON = (3, 11)


def _missing() -> str:
    """What stands in the way of a worker here, as a sentence; "" when nothing does."""
    if sys.version_info < PYTHON:
        return "Python {}.{} is too old: workers need {}.{}".format(*sys.version_info[:2], *PYTHON)
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        return "{} is not installed there: {} -m pip install {}".format(
            " and ".join(missing), sys.executable, " ".join(missing)
        )
    return ""


def _import_prytany() -> None:
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(
        "prytany", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prytany"] = module
    spec.loader.exec_module(module)


def _register_nothing(**_handlers: object) -> None:
    pass


def _run() -> int:
    """Be the zygote; imported, and the standard library with it, without the library's handlers of forks.

    They put in order what threads and chance leave behind in a child. At these forks there is one thread, and a worker
    takes its chance from its record; what they write to would be no worker's to share any more.
    """
    register, os.register_at_fork = os.register_at_fork, _register_nothing
    try:
        from prytany.runtime.zygote import main
    finally:
        os.register_at_fork = register
    return main(sys.argv[1:])


if __name__ == "__main__":
    if _missing():
        sys.exit(_missing())
    _import_prytany()
    sys.exit(_run())
