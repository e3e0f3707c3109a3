"""`python configs/stand-ins/knative`: see README.md beside it."""

import sys
from pathlib import Path

if not __package__:  # It was started as a folder, whose parent Python doesn't look into.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from knative.system import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
