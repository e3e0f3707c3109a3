"""`python -m evload` is `evload`."""

from __future__ import annotations

from .cli import main

main()
