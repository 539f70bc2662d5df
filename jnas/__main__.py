"""`python -m jnas`: the command line."""

import sys

from jnas.commands._cli import main

if __name__ == "__main__":
    sys.exit(main())
