"""`python -m jdsr_cli`: the command line, for launchers that start modules."""

from jdsr_cli.cli.app import main

if __name__ == "__main__":
    main()
