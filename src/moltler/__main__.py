"""``python -m moltler`` is the command line."""

from moltler.cli.main import main

if __name__ == "__main__":
    main()
