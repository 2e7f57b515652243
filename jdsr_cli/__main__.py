"""Command line for launchers that start modules: ``python -m jdsr_cli``."""

from jdsr_cli.cli.app import main

if __name__ == "__main__":
    main()
