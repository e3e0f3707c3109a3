"""The section `secrets`: what may stand there, and where its values may be named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from evload.config import load_text
from evload.config.run_config import LoadedConfig
from evload.config.schema import json_schema
from evload.errors import ConfigError

CONFIG = """\
secrets:
  api: {file: /run/secrets/token}
  other: {post: "https://id.example/token", json: {user: a}, take: body.access_token}
producers:
  p: {kind: http, url: "http://localhost/e", headers: {Authorization: "Bearer {secrets.api}"}}
events: {e: {type: t, source: /x, data: {a: 1}}}
probes:
  r: {kind: http, url: "http://localhost/e/{correlation_id}", headers: {X-Key: "{secrets.other}"}}
scenarios: {s: {producer: p, events: [e], probes: [r], load: [{burst: 1}]}}
"""


def load(text: str) -> LoadedConfig:
    return load_text(text, "c.yaml", environ={"PW": "pass-word-4711"})


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(text)
    return [str(problem) for problem in refused.value.problems]


def secret(written: str) -> str:
    return CONFIG.replace("{file: /run/secrets/token}", written)


def test_it_is_read_without_fetching_or_reading_anything() -> None:
    config = load(CONFIG).config
    assert config.secrets["api"].file == Path("/run/secrets/token")
    assert config.secrets["other"].renew == 0.8
    assert config.producers["p"].encoding().extras == ()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{flie: x}", "c.yaml:2:9: unknown key 'flie'; did you mean 'file'?"),
        ("{}", "c.yaml:2:8: neither file, get, post nor oauth2 is given, and a secret comes from one place; "),
        ('{file: x, get: "http://h/"}', "c.yaml:2:8: file and get are given, and a secret comes from one place; "),
        ("{file: x, renew: 50%}", "renew with file, which is read again whenever it changes; leave it out"),
        ("{file: x, take: body.a}", "take without get or post; leave it out, file knows what to do"),
        ('{post: "http://h/"}', "post without take; say where the answer has the value: take: body.access_token"),
        ('{get: "http://h/", take: body.a, json: {}}', "get sends no body; write post:, or leave json and form out"),
        ('{post: "http://h/", take: body.a, json: {}, form: {}}', "json and form are two bodies; leave one of them"),
        ('{post: "h/token", take: body.a}', "c.yaml:2:15: 'h/token' has no scheme; "),
        ('{post: "http://h/{uuid}", take: body.a}', "the address holds a placeholder, but a token belongs to no"),
        ('{post: "http://h/", take: bdy.a}', "looks at 'bdy', which isn't there; did you mean 'body'?"),
        ('{post: "http://h/", take: body.a, renew: 100%}', "'100%' is too large; write less than"),
        ('{post: "http://h/", take: body.a, lifetime: 5}', "5 is not a duration"),
        ('{oauth2: {token_url: "http://h/", client_id: a}}', "the key 'client_secret' is missing; add it"),
        ('{oauth2: {token_url: "h", client_id: a, client_secret: b}}', "'h' has no scheme"),
        ('{oauth2: {token_url: "http://h/", client_id: a, client_secret: b, params: {scope: x}}}',
         "the parameter scope is set by oauth2; leave it out, write scope: beside params"),
        ('{oauth2: {token_url: "http://h/", client_id: a, client_secret: b, scop: x}}',
         "unknown key 'scop'; did you mean 'scope'?"),
        ('{post: "http://h/", take: body.a, headers: {Host x: y}}', "'Host x' is not a header name"),
        ('{post: "http://h/", take: body.a, headers: {X: "{uuid}"}}', "the header 'X' holds a placeholder"),
        ('{post: "http://h/", take: body.a, headers: {X: "{secrets.other}"}}',
         "{secrets.other} is fetched itself, and a secret can need only those that are read; name one with file:"),
        ('{post: "http://h/", take: body.a, headers: {X: "{secrets.oter}"}}',
         "unknown secret 'oter'; did you mean 'other'?"),
        ("5", "c.yaml:2:8: 5 is not a mapping"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_secret(written: str, told: str) -> None:
    assert any(told in one for one in problems(secret(written))), problems(secret(written))


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("{secrets.api}", "{secrets.apo}", "c.yaml:5:71: unknown secret 'apo'; did you mean 'api'?"),
        ("{secrets.api}", "{secrets.api}{uuid}",
         "the header 'Authorization' holds a secret, and what is another for each event; write a header for each"),
        ("{secrets.other}", "{secrets.other}-{correlation_id}", "the header 'X-Key' holds a secret, and what is"),
        ("http://localhost/e\"", "http://localhost/{secrets.api}\"",
         "{secrets.api} can't stand in url of this kind; write it into auth or headers"),
        ("data: {a: 1}", 'data: {a: "{secrets.api}"}',
         "the placeholder {secrets.api} would put a secret into an event, which is kept and shown; write it into"),
        ("kind: http, url: \"http://localhost/e\"", "kind: eventbridge, bus: \"{secrets.api}\"",
         "{secrets.api} can't stand in bus of this kind; write ${NAME}, a variable of the environment"),
        ("scenarios:",
         'reports: {chat: {kind: webhook, url: "http://h/", headers: {X: "{secrets.api}"}}}\nscenarios:',
         "{secrets.api} can't stand in headers of this kind; write ${NAME}, a variable of the environment"),
    ],
)  # fmt: skip
def test_where_a_secret_may_not_stand(written: str, instead: str, told: str) -> None:
    assert any(told in one for one in problems(CONFIG.replace(written, instead))), problems(
        CONFIG.replace(written, instead)
    )


@pytest.mark.parametrize(
    "auth", ['{bearer: "{secrets.api}"}', '{basic: {user: me, password: "{secrets.api}"}}']
)  # fmt: skip
def test_it_may_stand_in_auth(auth: str) -> None:
    load(CONFIG.replace('headers: {Authorization: "Bearer {secrets.api}"}', f"auth: {auth}"))


def test_what_is_written_out_stands_in_no_file_of_the_run() -> None:
    text = secret('{oauth2: {token_url: "http://h/token", client_id: shop, client_secret: written-out-1}}')
    text = text.replace("{user: a}", '{user: a, password: written-out-2, id: "${PW}"}')
    loaded = load(text.replace("json:", "headers: {X-Api-Key: no-no-no}, json:"))
    text = loaded.as_run()
    assert "written-out" not in text
    assert "no-no-no" not in text
    assert 'token_url: "http://h/token"' in text
    assert "client_secret: '${" in text
    assert '"${PW}"' in text
    assert loaded.redact("written-out-1 written-out-2 pass-word-4711") == (
        "${SECRETS_API_OAUTH2_CLIENT_SECRET} ${SECRETS_OTHER_JSON_PASSWORD} ${PW}"
    )
    again = load_text(
        text, "config.yaml",
        environ={"PW": "x", "SECRETS_API_OAUTH2_CLIENT_SECRET": "a", "SECRETS_OTHER_JSON_PASSWORD": "b",
                 "SECRETS_OTHER_HEADERS_X_API_KEY": "c"},
    )  # fmt: skip
    assert again.config.secrets["api"].oauth2 is not None
    assert again.config.secrets["other"].document == {"user": "a", "password": "b", "id": "x"}


@pytest.mark.parametrize(
    ("written", "good"),
    [
        ("{file: /run/secrets/token}", True),
        ('{get: "http://h/", take: body.a}', True),
        ('{post: "http://h/", form: {a: b}, take: body.a, expires: body.e, renew: 90%, lifetime: 5m}', True),
        ('{oauth2: {token_url: "http://h/", client_id: a, client_secret: "${PW}", scope: x, auth: body}}', True),
        ("{flie: x}", False),
        ("{}", False),
        ('{file: x, get: "http://h/"}', False),
        ('{oauth2: {token_url: "http://h/", client_id: a}}', False),
        ('{oauth2: {token_url: "http://h/", client_id: a, client_secret: b, auth: digest}}', False),
        ("5", False),
    ],
)  # fmt: skip
def test_the_schema_says_the_same(written: str, good: bool) -> None:
    text = secret(written)
    assert Draft202012Validator(json_schema(print)).is_valid(yaml.safe_load(text)) == good
    if good:
        load(text)
    else:
        assert problems(text)
