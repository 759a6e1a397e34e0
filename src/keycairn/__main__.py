"""The command line as `python -m keycairn`."""

from keycairn.app.cli import main

if __name__ == "__main__":
    main()
