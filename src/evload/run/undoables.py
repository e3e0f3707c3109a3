"""What of a config has to be undone even if its run can't do it any more."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from ..config.run_config import SANDBOX, Action, LoadedConfig, Step
from ..config.yaml import DataPath
from ..spi.secrets import names_in
from .guarding import Guarded, Undoable
from .undo_journal import Head


def guarded(loaded: LoadedConfig, run_id: str) -> Guarded | None:
    """All that a run of it has to undo; None if that is nothing.

    What is done to the embedded pipeline isn't among it: that ends with its run, whatever ends the run.
    """
    undos = {name: undo for name, one in loaded.config.actions.items() if (undo := _undoable(one)) is not None}
    if not undos:
        return None
    secrets = loaded.written_secrets
    needed = {name for undo in undos.values() for name in names_in(list(undo.written))}
    needed |= {other for name in needed for other in names_in(secrets.get(name))}
    head = Head(
        run_id,
        os.path.abspath(loaded.base_dir),
        params=dict(loaded.config.circumstances.params),
        secrets={name: written for name, written in secrets.items() if name in needed},
    )
    return Guarded(undos, head, loaded.hidden)


def _undoable(action: Action) -> Undoable | None:
    steps = [step for step in action.undo if not _is_embedded(step)]
    if not steps:
        return None
    return Undoable(
        written=[step.written for step in steps],
        resolved=[step.given for step in steps],
        doing_ns=sum(step.settings.timeout for step in action.do),
        unquoted=tuple(
            (number, *place) for number, step in enumerate(steps) for place in _retyped(step.written, step.given)
        ),
    )


def _is_embedded(step: Step) -> bool:
    """Whether it is about the embedded pipeline, also where its settings say so by themselves."""
    fields = type(step.settings).model_fields
    by_default = any(one.default == SANDBOX for name, one in fields.items() if name not in step.given)
    return by_default or SANDBOX.encode() in orjson.dumps(step.given)


def _retyped(written: Any, given: Any, path: DataPath = ()) -> Iterator[DataPath]:
    """Where a text with a variable became something else, because it stands without quotes."""
    if isinstance(written, Mapping):
        for name, value in written.items():
            yield from _retyped(value, given[name], (*path, name))
    elif isinstance(written, list | tuple):
        for index, value in enumerate(written):
            yield from _retyped(value, given[index], (*path, index))
    elif isinstance(written, str) and not isinstance(given, str):
        yield path
