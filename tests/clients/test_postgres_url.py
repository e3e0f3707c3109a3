"""Parameters of PostgreSQL addresses: those that hold, and what is said of those that don't."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from evload.clients.postgres_url import PostgresAddress, parse_postgres_url
from evload.probes.postgres import PostgresProbeConfig
from evload.probes.postgres_listen import PostgresListenConfig

BASE = "postgresql://u:pw%40x@a:1,b:2/shop"
OURS = {"application_name": "evload"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", PostgresAddress(BASE, None, None, OURS)),
        ("?", PostgresAddress(BASE, None, None, OURS)),
        ("?connect_timeout=10", PostgresAddress(BASE, 10, None, OURS)),
        ("?connect_timeout=0", PostgresAddress(BASE, None, None, OURS)),
        ("?connect_timeout=-1", PostgresAddress(BASE, None, None, OURS)),
        (
            "?sslmode=verify-full&target_session_attrs=primary&sslrootcert=/a%20b.pem&sslcert=c+d",
            PostgresAddress(
                f"{BASE}?sslmode=verify-full&sslrootcert=/a%20b.pem&sslcert=c%20d", None, "primary", OURS
            ),
        ),
        ("?sslmode=&password=", PostgresAddress(BASE, None, None, OURS)),
        ("?host=c,d&port=1,2", PostgresAddress(f"{BASE}?host=c,d&port=1,2", None, None, OURS)),
        (
            "?application_name=x&fallback_application_name=y",
            PostgresAddress(BASE, None, None, {"application_name": "x"}),
        ),
        (
            "?options=-c%20search_path%3Dapp&geqo=off",
            PostgresAddress(BASE, None, None, OURS | {"options": "-c search_path=app", "geqo": "off"}),
        ),
        ("?sslmode=require&sslmode=disable", PostgresAddress(f"{BASE}?sslmode=disable", None, None, OURS)),
    ],
)
def test_what_holds(query: str, expected: PostgresAddress) -> None:
    assert parse_postgres_url(BASE + query) == expected


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (
            "channel_binding=require",
            "the parameter channel_binding in url is one of libpq, which evload doesn't use; leave",
        ),
        (
            "gssencmode=disable",
            "the parameter gssencmode in url is one of libpq, which evload doesn't use; leave it out",
        ),
        (
            "hostaddr=1.2.3.4",
            "hostaddr in url is one of libpq, which evload doesn't use; write the address as the host",
        ),
        ("client_encoding=latin1", "leave it out; evload speaks UTF-8"),
        ("sslmod=require", "unknown parameter sslmod in url; did you mean sslmode?"),
        ("connecttimeout=3", "unknown parameter connecttimeout in url; did you mean connect_timeout?"),
        ("connect_timeout=3s", "connect_timeout in url is '3s', not a number of seconds; write connect_timeout=10"),
        ("sslmode=on", "sslmode in url is 'on', which is no such thing; write disable, allow, prefer, require"),
        (
            "target_session_attrs=master",
            "target_session_attrs in url is 'master', which is no such thing; write any, pri",
        ),
        ("sslmode", "the parameter 'sslmode' in url has no value; write sslmode=…, or leave it out"),
        ("a=1&&b=2", "the parameter '' in url has no value"),
    ],
)
def test_what_does_not_is_said_before_the_run(query: str, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PostgresProbeConfig(kind="postgres", url=f"{BASE}?{query}", query="SELECT :ids AS id")
    assert told in str(caught.value.errors()[0]["msg"])
    assert "pw%40x" not in caught.value.errors()[0]["msg"]
    with pytest.raises(ValidationError, match="url"):
        PostgresListenConfig.model_validate({"kind": "postgres-listen", "url": f"{BASE}?{query}", "channel": "c"})
