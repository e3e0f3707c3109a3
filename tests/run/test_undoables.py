"""What of a config has to be undone even if its run can't: written without secrets, told with all values."""

from __future__ import annotations

from pathlib import Path

import pytest

from evload.config.load import load_text
from evload.run.guarding import Undoable
from evload.run.undoables import guarded
from evload.units import NS_PER_S
from tests.rigs.switches import installed

CONFIG = """
sandbox: {}
params: {who: me}
secrets:
  token: {post: "https://idp/token", json: {password: "${PASSWORD}", who: "{secrets.part}"}, take: body.token}
  part: {file: part}
  other: {file: other}
producers: {p: {kind: http, url: "{sandbox}/events"}}
events: {e: {type: t, source: /tests}}
scenarios: {s: {producer: p, events: [e], load: [{rate: 5/s, for: 20s}]}}
actions:
  one: {at: 1s, for: 1s, do: {switch: a, to: "on", of: s, timeout: 7s}, undo: {switch: a, to: "off", of: "${S}"}}
  several:
    at: 1s
    for: 1s
    do:
      - {switch: b, to: "on", of: s, timeout: 2s}
      - {switch: c, to: "on", of: s, timeout: 3s}
    undo:
      - {switch: b, to: "off", of: "s/${params.who}", key: written-out}
      - switch: c
        to: "off"
        of: s
        level: ${LEVEL}
        key: "{secrets.token}"
  embedded: {at: 1s, for: 1s, do: {switch: d, to: "on", of: s}, undo: {switch: d, to: "off", of: "{sandbox}"}}
  gone: {at: 1s, do: {switch: e, to: "on", of: s}, undo: none}
"""


def test_undos_are_written_without_secrets_and_told_with_all_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path / "kinds"))
    environ = {"S": "/the/system", "LEVEL": "5", "PASSWORD": "hush"}

    found = guarded(load_text(CONFIG, "c", base_dir=tmp_path, environ=environ), "r")
    assert found is not None
    assert found.undos == {
        "one": Undoable(
            [{"switch": "a", "to": "off", "of": "${S}"}], [{"switch": "a", "to": "off", "of": "/the/system"}],
            7 * NS_PER_S,
        ),
        "several": Undoable(
            [
                {"switch": "b", "to": "off", "of": "s/${params.who}", "key": "${ACTIONS_SEVERAL_UNDO_0_KEY}"},
                {"switch": "c", "to": "off", "of": "s", "level": "${LEVEL}", "key": "{secrets.token}"},
            ],
            [
                {"switch": "b", "to": "off", "of": "s/me", "key": "written-out"},
                {"switch": "c", "to": "off", "of": "s", "level": 5, "key": "{secrets.token}"},
            ],
            5 * NS_PER_S,
            ((1, "level"),),
        ),
    }  # fmt: skip
    assert found.head.base_dir == str(tmp_path)
    assert found.head.params == {"who": "me"}
    assert found.head.secrets.keys() == {"token", "part"}
    assert found.head.secrets["token"]["json"] == {"password": "${PASSWORD}", "who": "{secrets.part}"}
    assert found.hide["ACTIONS_SEVERAL_UNDO_0_KEY"] == "written-out"


def test_where_nothing_outlives_the_run_nothing_is_guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path / "kinds"))
    head, _, actions = CONFIG.partition("actions:\n")
    kept = "".join(line + "\n" for line in actions.splitlines() if line.startswith(("  embedded", "  gone")))
    assert guarded(load_text(f"{head}actions:\n{kept}", "c", environ={"PASSWORD": "x"}), "r") is None
    assert guarded(load_text(head, "c", environ={"PASSWORD": "x"}), "r") is None
