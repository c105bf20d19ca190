"""`prytany`, and `python -m prytany.cli`: nothing is imported before an interruption can be taken."""

from __future__ import annotations

import sys

NATIVE = "pyreqwest"
"""Its threads outlive the loop; https://docs.python.org/3/c-api/init.html#cautions-regarding-runtime-finalization"""


def main() -> None:
    """Carry out what was typed."""
    if sys.argv[1:2] == ["up"]:
        from prytany.cli.held import hold_from_the_start

        hold_from_the_start()
    try:
        from prytany.cli.main import main as carry_out

        carry_out()
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as left:
        if NATIVE in sys.modules and isinstance(left.code, int):
            _leave(left.code)
        raise


def _leave(status: int) -> None:
    """Exit at once: a native thread that wants Python while that ends aborts the process."""
    import contextlib
    import os

    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
