"""The command line, as `assay` or `python -m assay`."""

from __future__ import annotations

import signal
import sys

from ._native import main as _main


def main() -> int:
    # Ctrl+C ends the program as it ends the command: nothing here waits for Python to look.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _main(["assay", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
