"""What is done by SQL: values are bound, each statement is committed, and what may have had its effect is told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evload.activities.sql.statements import parse_statement
from evload.spi.activity import Outcome
from evload.testing import PEERS, Peer, SystemClock, check_activity, check_activity_peer
from tests.rigs.activities import TIMEOUT, activity, captured, performed
from tests.rigs.turned_secret import TurnedSecret
from tests.servers.mysql_server import MysqlServer
from tests.servers.postgres_server import PostgresServer

NASTY = "x'; DROP TABLE flags; -- \\' {id} %s :a $1"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with `shop.db`, which has a table of two rows."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE flags (name TEXT UNIQUE, value)")
        database.execute("INSERT INTO flags VALUES ('slow', 0), ('wide', NULL)")
        database.commit()
    return tmp_path


def rows(directory: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(directory / "shop.db")) as database:
        return database.execute("SELECT name, value FROM flags ORDER BY rowid").fetchall()


# --- statements ---


@pytest.mark.parametrize(
    ("text", "parts", "names", "quoted"),
    [
        ("SELECT 1;", ["SELECT 1"], [], []),
        ("UPDATE t SET a = {a}, b = {b.c}", ["UPDATE t SET a = ", ", b = ", ""], ["a", "b.c"], []),
        ("SELECT '{a}', \"{b}\", `{c}` -- {d}\n, /* {e} */ $x$ {f}; $x$, {g}",
         ["SELECT '{a}', \"{b}\", `{c}` -- {d}\n, /* {e} */ $x$ {f}; $x$, ", ""], ["g"], ["a"]),
        ("SELECT 'it''s {a}' || {a}", ["SELECT 'it''s {a}' || ", ""], ["a"], ["a"]),
        ("DO $$ BEGIN PERFORM 1; END $$", ["DO $$ BEGIN PERFORM 1; END $$"], [], []),
        ("CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END",
         ["CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END"], [], []),
    ],
    ids=["plain", "values", "quotes", "text", "block", "trigger"],
)  # fmt: skip
def test_a_statement_is_taken_apart(
    text: str, parts: Sequence[str], names: Sequence[str], quoted: Sequence[str]
) -> None:
    found = parse_statement(text)
    assert (list(found.parts), list(found.names), list(found.quoted)) == (parts, names, quoted)


def test_the_texts_of_mysql_know_a_backslash() -> None:
    text = "SELECT 'it\\'s; {a}', {b} # it's {c}"
    assert list(parse_statement(text, mysql=True).names) == ["b"]


# --- SQLite ---


def test_statements_are_done_in_their_order_and_committed(shop: Path) -> None:
    outcome = performed(
        base_dir=shop, on="sqlite:///shop.db",
        sql=["UPDATE flags SET value = 1", "INSERT INTO flags VALUES ('new', 2)", "SELECT count(*) AS n FROM flags"],
        capture={"rows": "n"},
    )  # fmt: skip
    assert captured(outcome) == {"rows": 3}
    assert rows(shop) == [("slow", 1), ("wide", 1), ("new", 2)]


def test_values_are_bound_and_never_pasted(shop: Path) -> None:
    sql = "UPDATE flags SET name = {id}, value = {flags} WHERE name = 'slow' RETURNING name"
    values = {"id": NASTY, "flags": ["a"]}
    outcome = performed(values, shop, on=f"sqlite:///{shop}/shop.db", sql=sql, capture={"name": "name"})
    assert captured(outcome) == {"name": NASTY}
    assert rows(shop) == [(NASTY, '["a"]'), ("wide", None)]


@pytest.mark.parametrize(
    ("written", "outcome"),
    [
        ({"sql": "UPDATE flag SET value = 1"}, Outcome("no such table: flag")),
        ({"sql": ["UPDATE flags SET value = 7", "UPDATE flag SET value = 1"]},
         Outcome("statement 2 of 2: no such table: flag (1 of them done before)", in_doubt=True)),
        ({"sql": "SELECT 1", "on": "sqlite:///none.db"}, Outcome("unable to open database file")),
        ({"sql": "SELECT {nobody}"}, Outcome("there is no value 'nobody' for {nobody}")),
        ({"sql": "SELECT '{id}'"}, Outcome("{id} stands in quotes; leave them out, a value is bound as it is")),
        ({"sql": "SELECT 1 WHERE 0", "capture": {"a": "b"}},
         Outcome("it is done, but there is no row to capture from", in_doubt=True)),
        ({"sql": "SELECT name FROM flags", "capture": {"a": "b"}},
         Outcome("it is done, but there is no column 'b' to capture, only name", in_doubt=True)),
        ({"sql": "SELECT NULL AS b", "capture": {"a": "b"}},
         Outcome("it is done, but there is no a: b is null", in_doubt=True)),
        ({"sql": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
          "timeout": "300ms"},
         Outcome("it was not done after 300 ms", in_doubt=True)),
    ],
    ids=["table", "second", "file", "no value", "quoted", "no row", "no column", "null", "slow"],
)  # fmt: skip
def test_what_goes_wrong_is_told(written: Mapping[str, Any], outcome: Outcome, shop: Path) -> None:
    assert performed({"id": 1}, shop, **{"on": "sqlite:///shop.db", **written}) == outcome


def test_what_changes_rows_as_they_are_read_changes_all_of_them(shop: Path) -> None:
    assert performed(base_dir=shop, on="sqlite:///shop.db", sql="DELETE FROM flags RETURNING name") == Outcome()
    assert rows(shop) == []


def test_it_conforms(shop: Path) -> None:
    settings = activity(on="sqlite:///shop.db", sql="SELECT name FROM flags", capture={"name": "name"})
    assert (
        asyncio.run(check_activity(settings, SystemClock(), base_dir=shop))
        == [Outcome(captured={"name": "slow"})] * 2
    )


def test_the_title_has_no_login() -> None:
    settings = activity(sql=["UPDATE  a\nSET b = 1", "SELECT 1"], on="postgresql://app:pw@db/shop?sslmode=require")
    assert settings.title == "sql: UPDATE a SET b = 1; SELECT 1 on postgresql://db/shop"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"sql": ""}, "sql is empty; write a statement"),
        ({"sql": []}, "sql is empty; write a statement"),
        ({"sql": [" ; "]}, "sql holds an empty statement"),
        ({"sql": "SELECT 1; SELECT 2"}, "sql holds several statements in one text; write a list of them"),
        ({"on": "oracle://x/y"}, "'oracle://x/y' is no address of a database that sql knows; write postgresql://"),
        ({"on": "postgersql://x/y"}, "did you mean postgresql://?"),
        ({"on": "shop.db"}, "write postgresql://user@host/shop"),
        ({"on": "sqlite://"}, "names no file; write sqlite:///shop.db"),
        ({"on": "sqlite://shop.db"}, "names no file; write sqlite:///shop.db"),
        ({"on": "postgresql://x/y?sslmode=on"}, "sslmode in url is 'on'"),
        ({"on": "mysql://x/y?ssl=1"}, "url has the unknown parameter 'ssl'"),
        ({"on": "mysql://x/{secrets.db}"}, "a secret can stand in the login of an address alone"),
        ({"capture": {"a-b": "c"}}, "'a-b' can't be captured as a name; write"),
    ],
    ids=["empty", "none", "blank", "several", "oracle", "slip", "path", "no file", "slashes", "sslmode", "parameter",
         "secret", "name"],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(written: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        activity(**{"sql": "SELECT 1", "on": "sqlite:///shop.db", **written})
    assert message in str(raised.value)


# --- servers ---

TYPES = {
    "i": "5", "n": 2.5, "d": "1.10", "b": "true", "u": "6b1e8a1c-5f7b-4e9a-9d3c-0123456789ab", "j": {"a": [1]},
    "t": NASTY, "w": "2026-01-02T03:04:05+00:00",
}  # fmt: skip


def test_postgres_is_given_values_of_its_types(postgres: PostgresServer) -> None:
    columns = "i int, n float8, d numeric, b bool, u uuid, j jsonb, t text, w timestamptz"
    postgres.execute(f"DROP TABLE IF EXISTS acts; CREATE TABLE acts ({columns})")
    on = f"postgresql://owner@127.0.0.1:{postgres.port}/postgres"
    places = ", ".join(f"{{{name}}}" for name in TYPES)
    assert performed(TYPES, on=on, sql=f"INSERT INTO acts VALUES ({places})") == Outcome()
    found = performed(on=on, sql="SELECT *, j->'a' AS a FROM acts", capture={name: name for name in [*TYPES, "a"]})
    assert captured(found) == {
        **TYPES, "i": 5, "b": True, "j": '{"a": [1]}', "w": "2026-01-02 03:04:05+00:00", "a": "[1]",
    }  # fmt: skip
    assert performed({"i": "many"}, on=on, sql="UPDATE acts SET i = {i}") == Outcome(
        "{i} is 'many', and the database wants int4"
    )


def test_what_postgres_refuses(postgres: PostgresServer) -> None:
    on = f"postgresql://owner@127.0.0.1:{postgres.port}/postgres"
    assert performed(on=on, sql=["SELECT 1", "SELECT none"]) == Outcome(
        'statement 2 of 2: column "none" does not exist (1 of them done before)', in_doubt=True
    )
    assert performed(on=on, sql=["SET statement_timeout = 50", "SELECT pg_sleep(60)"]) == Outcome(
        "statement 2 of 2: canceling statement due to statement timeout (1 of them done before)", in_doubt=True
    )
    killed = performed(on=on, sql="SELECT pg_terminate_backend(pg_backend_pid())")
    assert killed == Outcome("connection lost", in_doubt=True)
    refused = performed(on="postgresql://owner@127.0.0.1:1/postgres", sql="SELECT 1")
    assert refused == Outcome("can't connect: connection refused")


def test_a_function_is_called_for_each_row(postgres: PostgresServer) -> None:
    """As it is to end all connections of somebody."""
    postgres.execute("DROP SEQUENCE IF EXISTS acted; CREATE SEQUENCE acted")
    on = f"postgresql://owner@127.0.0.1:{postgres.port}/postgres"
    assert performed(on=on, sql="SELECT nextval('acted') FROM generate_series(1, 5)") == Outcome()
    assert captured(performed(on=on, sql="SELECT nextval('acted') AS n", capture={"n": "n"})) == {"n": 6}


def test_the_login_may_be_a_secret(postgres: PostgresServer) -> None:
    postgres.execute("DROP ROLE IF EXISTS actor; CREATE ROLE actor LOGIN PASSWORD 'p/w'")
    on = f"postgresql://actor:{{secrets.db}}@127.0.0.1:{postgres.port}/postgres"
    found = performed(secrets={"db": TurnedSecret("p/w")}, on=on, sql="SELECT current_user AS u", capture={"u": "u"})
    assert captured(found) == {"u": "actor"}
    assert activity(on=on, sql="SELECT 1").title.endswith(f"on postgresql://127.0.0.1:{postgres.port}/postgres")


@pytest.mark.parametrize("peer", PEERS)
def test_postgres_with_a_peer_at_fault(peer: Peer, postgres: PostgresServer) -> None:
    outcome = asyncio.run(
        check_activity_peer(
            lambda port: activity(
                on=f"postgresql://owner@127.0.0.1:{port}/postgres", sql="SELECT 1", timeout=TIMEOUT[peer]
            ),
            postgres.port,
            peer,
        )
    )
    assert bool(outcome.error) == (peer != "slow")


def test_mysql(mysql: MysqlServer) -> None:
    mysql.execute("CREATE DATABASE IF NOT EXISTS shop", "DROP TABLE IF EXISTS shop.acts",
                  "CREATE TABLE shop.acts (i int, n double, b bool, t varchar(200), j text)")  # fmt: skip
    on = f"mysql://root@127.0.0.1:{mysql.port}/shop"
    values = {"i": "5", "n": 2.5, "b": True, "t": NASTY, "j": {"a": [1]}}
    assert performed(values, on=on, sql="INSERT INTO acts VALUES ({i}, {n}, {b}, {t}, {j})") == Outcome()
    found = performed(on=on, sql="SELECT * FROM acts", capture={name: name for name in values})
    assert captured(found) == {**values, "i": 5, "b": 1, "j": '{"a": [1]}'}
    refused = performed(on=on, sql="UPDATE act SET i = 1")
    assert (refused.error, refused.in_doubt) == ("Table 'shop.act' doesn't exist", False)
    assert performed(on=on, sql="SELECT sleep(60)", timeout="1s").in_doubt


@pytest.mark.parametrize("peer", PEERS)
def test_mysql_with_a_peer_at_fault(peer: Peer, mysql: MysqlServer) -> None:
    outcome = asyncio.run(
        check_activity_peer(
            lambda port: activity(on=f"mysql://root@127.0.0.1:{port}/", sql="SELECT 1", timeout=TIMEOUT[peer]),
            mysql.port,
            peer,
        )
    )
    assert bool(outcome.error) == (peer != "slow")
