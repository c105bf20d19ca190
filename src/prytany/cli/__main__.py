"""`prytany`, and `python -m prytany.cli`: nothing is imported before an interruption can be taken."""

from __future__ import annotations

import sys


def main() -> None:
    """Carry out what was typed."""
    try:
        from prytany.cli.main import main as carry_out

        carry_out()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
