"""`python configs/stand-ins/shop`, or `python -m shop` where that can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Started as a folder, what is in it would be looked for in the folder itself.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from shop.app import STAND_IN
    from stand_in.command import main

    sys.exit(main(STAND_IN, sys.argv[1:]))
