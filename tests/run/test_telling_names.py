"""What is called a secret is one wherever it stands: in a config, in an answer that is shown, in an example."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
import yaml

from evload import config
from evload.probes._shared.attribution import by_match
from evload.probes._shared.attribution_traffic import attribution
from evload.run.shown_traffic import shown
from evload.spi.traffic import Message
from tests.rigs.asking import RUN

NAMES: Final = (
    "password", "passwd", "Passwort", "passphrase", "pwd", "client_secret", "access_token", "X-Api-Key", "apikey",
    "access_key", "AWS-Access-Key", "X-Amz-Signature", "signature", "credentials", "Authorization", "authorisation",
    "cookie",
)  # fmt: skip
SECRET: Final = "hunter2hunter2"


@pytest.mark.parametrize("name", NAMES)
def test_in_a_message_that_is_shown(name: str) -> None:
    head = f"POST /x?a=1&{name}={SECRET}\n{name}: {SECRET}"
    told = shown(Message(head, json.dumps({"a": 1, f"my {name}": SECRET}).encode()), str)
    assert SECRET not in told.head + told.body
    assert ("a=1" in told.head, '"a": 1' in told.body) == (True, True)


@pytest.mark.parametrize("name", NAMES)
def test_in_an_example(name: str) -> None:
    found = attribution(RUN, by_match("body.id", default=True))
    found.find({"a": "1", f"my {name}": SECRET})
    _, example = found.take()
    assert example == f'{{"a":"1","my {name}":"***"}}'


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["a header", "a parameter"])
def test_in_a_config(name: str, where: str) -> None:
    producer: dict[str, Any] = {"kind": "http", "url": "http://host/?a=1"}
    if where == "a header":
        producer |= {"headers": {name: SECRET}}
    else:
        producer["url"] += f"&{name}={SECRET}"
    document = {
        "producers": {"p": producer},
        "events": {"e": {"type": "t", "source": "/tests"}},
        "scenarios": {"s": {"producer": "p", "events": ["e"], "load": [{"rate": "1/s", "for": "1s"}]}},
    }
    loaded = config.load_text(yaml.safe_dump(document), "c.yaml", environ={})
    assert SECRET not in loaded.redact(f"the target said {SECRET}")
