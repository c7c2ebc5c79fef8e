"""``python -m splinebias``: the command line, for where no script is installed."""

from splinebias.cli.main import main

if __name__ == "__main__":
    main()
