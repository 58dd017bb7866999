"""``python -m tradewright``: the same as the ``tradewright`` command."""

import sys

from tradewright.cli import main

if __name__ == "__main__":
    sys.exit(main())
