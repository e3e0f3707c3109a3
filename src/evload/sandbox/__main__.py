"""`python -m evload.sandbox`: the sandbox as a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from ..errors import EvloadError, UsageError
from .process import run_server
from .settings import SandboxSettings, explain


def main() -> int:
    """Run it; the answer is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evload.sandbox", description="the embedded pipeline")
    parser.add_argument("--settings", default="{}", metavar="JSON", help="sandbox settings as JSON")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="where to write what really happened")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop at the end of stdin too")
    options = parser.parse_args()
    try:
        try:
            settings = SandboxSettings.model_validate_json(options.settings)
        except ValidationError as error:
            raise UsageError(explain(error)) from None
        run_server(
            settings,
            host=options.host,
            port=options.port,
            truth_path=options.truth,
            until_stdin_closes=options.until_stdin_closes,
        )
    except EvloadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
