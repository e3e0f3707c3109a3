"""Passwords that are written out in a config: in no file of a run, and in nothing that is said."""

from __future__ import annotations

from typing import Any, Final

import pytest
import yaml

from evload import config
from evload.errors import ConfigError

COMMON: Final[dict[str, Any]] = {
    "events": {"e": {"type": "t", "source": "/tests", "data": {"page": "https://a:not-ours@host/?token=nor-this"}}},
    "scenarios": {"s": {"producer": "p", "events": ["e"], "load": [{"rate": "1/s", "for": "1s"}]}},
}


def loaded(environ: dict[str, str] | None = None, **sections: Any) -> config.LoadedConfig:
    document = {"producers": {"p": {"kind": "http", "url": "http://host/"}}, **COMMON, **sections}
    return config.load_text(yaml.safe_dump(document, sort_keys=False), "c.yaml", environ=environ or {})


def http(**settings: Any) -> dict[str, Any]:
    return {"producers": {"p": {"kind": "http", "url": "http://host/", **settings}}}


def probe(kind: str, **settings: Any) -> dict[str, Any]:
    return {"probes": {"r-1": {"kind": kind, **settings}}}


def acts(**activity: Any) -> dict[str, Any]:
    return {"actions": {"a": {"at": "0s", "do": [{"shell": "true"}, activity], "undo": "none"}}}


SQL: Final = {"query": "SELECT 1 FROM t WHERE id IN (:ids)"}
WRITTEN: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "an address": (http(url="https://app:s3cret-long@host/x?page=1"),
                   "https://app:${PRODUCERS_P_URL_PASSWORD}@host/x?page=1", "s3cret-long"),
    "without a user": (http(url="http://:s3cret-long@host/"), "http://:${PRODUCERS_P_URL_PASSWORD}@host/",
                       "s3cret-long"),
    "with an at": (http(url="http://app:s3@ret-long@host/"), "http://app:${PRODUCERS_P_URL_PASSWORD}@host/",
                   "s3@ret-long"),
    "percent-encoded": (http(url="http://app:s3%40ret-long@host/"), "http://app:${PRODUCERS_P_URL_PASSWORD}@host/",
                        "s3@ret-long"),
    "as a default": (http(url="http://app:${PW:-s3cret-long}@host/"), "http://app:${PW}@host/", "s3cret-long"),
    "as part of a default": (http(url="${URL:-http://app:s3cret-long@host/}"),
                             "${URL:-http://app:${PRODUCERS_P_URL_PASSWORD}@host/}", "s3cret-long"),
    "with a variable in it": (http(url="http://app:s3cret-${MORE:-long}@host/"),
                              "http://app:${PRODUCERS_P_URL_PASSWORD}@host/", "s3cret-long"),
    "a parameter": (http(url="https://host/hook?a=1&access_token=s3cret-long#"[:-1]),
                    "https://host/hook?a=1&access_token=${PRODUCERS_P_URL_ACCESS_TOKEN}", "s3cret-long"),
    "a bearer token": (http(auth={"bearer": "s3cret-long"}), "${PRODUCERS_P_AUTH_BEARER}", "s3cret-long"),
    "basic authentication": (http(auth={"basic": {"user": "app", "password": "s3cret-long"}}),
                             "${PRODUCERS_P_AUTH_BASIC_PASSWORD}", "s3cret-long"),
    "a header": (http(headers={"Authorization": "Bearer s3cret-long"}), "Bearer ${PRODUCERS_P_HEADERS_AUTHORIZATION}",
                 "s3cret-long"),
    "a header without a scheme": (http(headers={"Authorization": "s3cret-long"}),
                                  "${PRODUCERS_P_HEADERS_AUTHORIZATION}", "s3cret-long"),
    "a header of two words": (http(headers={"Cookie": "s3cret-a s3cret-b"}), "${PRODUCERS_P_HEADERS_COOKIE}",
                              "s3cret-a s3cret-b"),
    "a header of another name": (http(headers={"x-api-key": "s3cret-long"}), "${PRODUCERS_P_HEADERS_X_API_KEY}",
                                 "s3cret-long"),
    "the login of an activity": (acts(post="http://app:s3cret-long@host/"),
                                 "http://app:${ACTIONS_A_DO_1_POST_PASSWORD}@host/", "s3cret-long"),
    "the database of an activity": (acts(sql="SELECT 1", on="mysql://app:s3cret-long@host/shop"),
                                    "mysql://app:${ACTIONS_A_DO_1_ON_PASSWORD}@host/shop", "s3cret-long"),
    "what an activity sends": (acts(post="http://host/", json={"login": {"password": "s3cret-long"}, "ms": 5}),
                               "${ACTIONS_A_DO_1_JSON_LOGIN_PASSWORD}", "s3cret-long"),
    "a form of an activity": ({"setup": [{"post": "http://host/", "form": {"api_key": "s3cret-long"}}]},
                              "${SETUP_0_FORM_API_KEY}", "s3cret-long"),
    "AMQP": ({"producers": {"p": {"kind": "rabbitmq", "url": "amqp://app:s3cret-long@host/v", "exchange": "x"}}},
             "amqp://app:${PRODUCERS_P_URL_PASSWORD}@host/v", "s3cret-long"),
    "PostgreSQL": (probe("postgres", url="postgresql://app:s3cret-long@host/db",
                         query="SELECT 1 FROM t WHERE id = ANY(:ids)"),
                   "postgresql://app:${PROBES_R_1_URL_PASSWORD}@host/db", "s3cret-long"),
    "MySQL": (probe("mysql", url="mysql://app:s3cret-long@host/db", **SQL),
              "mysql://app:${PROBES_R_1_URL_PASSWORD}@host/db", "s3cret-long"),
    "Redis": (probe("redis", url="redis://:s3cret-long@host/0", key="k:{correlation_id}"),
              "redis://:${PROBES_R_1_URL_PASSWORD}@host/0", "s3cret-long"),
    "a Redis stream": ({"producers": {"p": {"kind": "redis-stream", "url": "rediss://app:s3cret-long@host/0",
                                            "stream": "s"}}},
                       "rediss://app:${PRODUCERS_P_URL_PASSWORD}@host/0", "s3cret-long"),
    "a Redis group": ({"gauges": {"g": {"kind": "redis-group", "url": "redis://app:s3cret-long@host/0", "stream": "s",
                                        "group": "g"}}},
                      "redis://app:${GAUGES_G_URL_PASSWORD}@host/0", "s3cret-long"),
    "a webhook's secret": (probe("webhook", listen="127.0.0.1:0", secret={"header": "x", "value": "s3cret-long"}),
                           "${PROBES_R_1_SECRET_VALUE}", "s3cret-long"),
    "a replica": (probe("http", at={"eu": {"url": "http://app:s3cret-long@eu/{correlation_id}"}}, visible="body.a"),
                  "http://app:${PROBES_R_1_AT_EU_URL_PASSWORD}@eu/{correlation_id}", "s3cret-long"),
    "a gauge": ({"gauges": {"g": {"kind": "http-json", "url": "http://app:s3cret-long@host/", "value": "body.a"}}},
                "http://app:${GAUGES_G_URL_PASSWORD}@host/", "s3cret-long"),
    "a sink": ({"reports": {"h": {"kind": "webhook", "url": "http://host/", "headers": {"Cookie": "s3cret-long"}}}},
               "${REPORTS_H_HEADERS_COOKIE}", "s3cret-long"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_in_its_place_stands_a_variable_and_nobody_says_it(name: str) -> None:
    sections, shown, secret = WRITTEN[name]
    it = loaded(**sections)
    text = it.as_run()
    assert shown in text
    assert "s3" not in text
    assert it.redact(f"login with {secret} failed").count(secret) == 0
    assert "not-ours" in text, "what is sent is data"


@pytest.mark.parametrize("name", WRITTEN)
def test_with_the_variable_set_the_config_as_run_is_the_same_config(name: str) -> None:
    sections, shown, secret = WRITTEN[name]
    before = loaded(**sections)
    variable = shown.rpartition("${")[2].partition("}")[0]
    quoted = "s3%40ret-long" if name == "percent-encoded" else secret
    after = config.load_text(before.as_run(), "c.yaml", environ={variable: quoted})
    for section in ("producers", "probes", "gauges", "reports", "replicas"):
        assert getattr(after.config, section) == getattr(before.config, section), section


def test_without_the_variable_it_says_which_is_missing() -> None:
    text = loaded(**http(auth={"bearer": "s3cret-long"})).as_run()
    with pytest.raises(ConfigError, match=r"environment variable PRODUCERS_P_AUTH_BEARER isn't set"):
        config.load_text(text, "c.yaml", environ={})


@pytest.mark.parametrize("sign", "/?#")
def test_one_that_ends_the_address_too_early_is_in_no_error(sign: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(**http(url=f"http://app:s3{sign}cret-long@host/"))
    assert "'http://host/' has an unusable host or port" in str(refused.value)


@pytest.mark.parametrize("settings", [
    {"url": "http://host:80/a:b@c/d@e"},
    {"url": "http://host:8080/a:b@c?page=1"},
    {"url": "http://app@host/"},
    {"url": "http://app:${PW}@host/"},
    {"url": "http://host/?token={record.token}&page=1"},
    {"url": "http://host/", "auth": {"bearer": "${PW}"}},
    {"url": "http://host/", "headers": {"x-key": "a-name", "x-team": "shop", "accept": "a/b", "x-token": "${PW}"}},
    {"url": "http://host/", "headers": {"authorization": "Bearer {record.token}"}},
    {"url": "http://host/", "headers": {"authorization": "Bearer ${PW}"}},
])  # fmt: skip
def test_what_is_no_password_stays_as_it_is(settings: dict[str, Any], tmp_path: Any) -> None:
    (tmp_path / "r.csv").write_text("token\nx\n")
    events = {"e": {**COMMON["events"]["e"], "records": str(tmp_path / "r.csv")}}
    it = loaded({"PW": "abc"}, **http(**settings), events=events)
    assert yaml.safe_load(it.as_run())["producers"]["p"] == {"kind": "http", **settings}


def test_the_login_that_every_broker_has_is_no_secret() -> None:
    url = "${AMQP_URL:-amqp://guest:guest@localhost:5672/}"
    it = loaded(producers={"p": {"kind": "rabbitmq", "url": url, "exchange": "x"}})
    assert yaml.safe_load(it.as_run())["producers"]["p"]["url"] == url
    assert it.redact("user 'guest'") == "user 'guest'"


def test_a_short_one_is_masked_where_it_stands_alone() -> None:
    it = loaded(**http(url="http://app:dev@host/dev"))
    assert "http://app:${PRODUCERS_P_URL_PASSWORD}@host/dev" in it.as_run()
    assert it.redact("in dev") == "in dev"


def test_each_has_a_variable_of_its_own() -> None:
    settings = {"kind": "http", "url": "http://host/"}
    producers = {
        "p": {**settings, "auth": {"bearer": "first-secret"}},
        "a-b": {**settings, "auth": {"bearer": "second-secret"}},
        "a_b": {**settings, "auth": {"bearer": "third-secret"}},
    }
    it = loaded(producers=producers)
    named = [one["auth"]["bearer"] for one in yaml.safe_load(it.as_run())["producers"].values()]
    assert named == [
        "${PRODUCERS_P_AUTH_BEARER}", "${PRODUCERS_A_B_AUTH_BEARER}", "${PRODUCERS_A_B_AUTH_BEARER_2}",
    ]  # fmt: skip
    assert it.redact("first-secret, third-secret") == "${PRODUCERS_P_AUTH_BEARER}, ${PRODUCERS_A_B_AUTH_BEARER_2}"


def test_one_that_came_by_set() -> None:
    document = yaml.safe_dump({**http(), **COMMON})
    sets = ["producers.p.url=http://app:s3cret-long@host/"]
    it = config.load_text(document, "c.yaml", environ={}, sets=sets)
    assert "http://app:${PRODUCERS_P_URL_PASSWORD}@host/" in it.as_run()
    assert "s3cret" not in it.as_run()


def test_one_in_a_config_that_is_wrong_is_not_told() -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(**http(url="http://app:s3cret-long@host/", mode="binry", auth={"bearer": "s3cret long"}))
    assert "binry" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_long_text_is_looked_through_once() -> None:
    """Fifty thousand addresses without an @ took a minute and more, each until the end of the text."""
    url = "http://host/" + "http://a:" * 50_000
    found = loaded(**http(url=f"{url} http://app:s3cret-long@host/"))
    assert "s3cret-long" not in found.as_run()
    assert "http://app:${PRODUCERS_P_URL_PASSWORD}@host/" in found.as_run().replace("\n", "")
