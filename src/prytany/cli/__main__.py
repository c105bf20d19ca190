"""`python -m prytany.cli`: the same as `prytany`."""

from prytany.cli.main import main

if __name__ == "__main__":
    main()
