"""What a good config means: values, environment, `--set`, YAML's traps, and the config as run."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.config import LoadedConfig, load, load_text
from evload.config import yaml as yamlfile
from evload.config.environment import Environment
from evload.config.secrets import Redactor
from evload.errors import ConfigError
from evload.producers.http import HttpProducerConfig
from evload.workload.schedule import Burst, Hold

TEXT = """\
# what a comment says is lost in the config as run
seed: 7
settle: 3s

sandbox: {workers: 2}
producers:
  api:
    kind: http
    url: "${URL:-http://localhost:8080/events}"
    headers: {authorization: "Bearer ${TOKEN}", x-cost: "5 $$"}
  own: {kind: http, url: "{sandbox}/events"}
events:
  created: {type: placement.created, source: /evload, data: {on: yes, at: 2024-01-01, n: "${N}"}}
  moved: {type: placement.moved, source: /evload, records: moves.csv, key: "{record.id}"}
probes:
  model: {kind: http, url: "{sandbox}/items/{correlation_id}", effects: body.effects}
scenarios:
  both:
    start: 1m30s
    producer: own
    events: {created: 3, moved: 1.5}
    probes: [model]
    arrivals: poisson
    load:
      - {rate: 30/min, for: 5m}
      - burst: 5
  plain:
    producer: api
    events: [created, moved]
    load: [{rate: 1/s, for: 10s}]
slos:
  - p99(consistency) < 5s
  - {objective: rate(errors) < 0.1%, critical: 1%, scenario: plain}
"""
ENVIRON = {"TOKEN": "t0p-secret", "N": "5"}


def read(
    text: str = TEXT,
    environ: Mapping[str, str] = ENVIRON,
    sets: Sequence[str] = (),
    base_dir: Path | None = None,
) -> LoadedConfig:
    return load_text(text, "load.yaml", base_dir=base_dir or Path(), environ=environ, sets=sets)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "moves.csv").write_text("id,to\n1,a\n2,b\n")
    (tmp_path / "my load.yaml").write_text(TEXT)
    return tmp_path


def producer(loaded: LoadedConfig, name: str) -> HttpProducerConfig:
    found = loaded.config.producers[name]
    assert isinstance(found, HttpProducerConfig)
    return found


def test_values(directory: Path) -> None:
    loaded = load(directory / "my load.yaml", environ=ENVIRON)
    config = loaded.config
    assert loaded.path == directory / "my load.yaml"
    assert loaded.base_dir == directory
    assert (config.name, config.seed, config.settle) == ("my load", 7, 3_000_000_000)
    assert config.sandbox is not None
    assert config.sandbox.workers == 2
    assert producer(loaded, "api").url == "http://localhost:8080/events"
    assert producer(loaded, "api").headers == {"authorization": "Bearer t0p-secret", "x-cost": "5 $"}
    both, plain = config.scenarios["both"], config.scenarios["plain"]
    assert (both.start, both.producer, both.arrivals) == (90_000_000_000, "own", "poisson")
    assert (both.events, both.probes) == ({"created": 3, "moved": 1.5}, ("model",))
    assert both.load == (Hold(**{"rate": "30/min", "for": "5m"}), Burst(burst=5))
    assert (plain.start, plain.events, plain.probes) == (0, {"created": 1, "moved": 1}, ())
    assert [objective.subject for objective in config.slos] == ["consistency", "errors"]
    assert (config.slos[1].critical, config.slos[1].scenario) == (Fraction(1, 100), "plain")
    assert config.self_checks.lateness == "strict"
    assert config.records["created"] is None
    records = config.records["moved"]
    assert records is not None
    assert records.rows == (("1", "a"), ("2", "b"))


def test_what_is_left_out() -> None:
    loaded = read(
        "producers: {p: {kind: http, url: http://x/}}\nevents: {e: {type: t, source: s}}\n"
        "scenarios: {s: {producer: p, events: [e], load: [burst: 1]}}\n"
    )
    config = loaded.config
    assert (config.name, config.seed, config.settle) == ("load", 1, 10_000_000_000)
    assert (config.sandbox, config.probes) == (None, {})
    assert [(slo.expression, slo.implied) for slo in config.slos] == [("errors == 0", True)]


def test_without_objectives_what_everybody_would_ask_is_asked() -> None:
    watched = (
        "producers: {p: {kind: http, url: http://x/}}\nevents: {e: {type: t, source: s}}\n"
        "probes: {r: {kind: http, url: 'http://x/{correlation_id}'}}\n"
        "scenarios:\n  a: {producer: p, events: [e], probes: [r], load: [burst: 1]}\n"
    )
    unwatched = "  b: {producer: p, events: [e], load: [burst: 1]}\n"

    def asked(text: str) -> list[str]:
        return [slo.title for slo in read(text).config.slos]

    assert asked(watched) == ["errors == 0", "lost == 0"]
    assert asked(watched + unwatched) == ["errors == 0", "lost == 0 [a]"]
    assert asked(watched + "slos: []\n") == []
    assert asked(watched + "slos: [errors <= 3]\n") == ["errors <= 3"]


@pytest.mark.parametrize(
    ("slo", "longest"),
    [("p99(consistency) < 3s", "3 s"), ("{objective: p99(end_to_end) < 1s, critical: 4s}", "4 s"),
     ("share(first_seen < 5s) >= 90%", "5 s"), ("recovery(p95(consistency) < 6s) < 5m", "6 s")],
)  # fmt: skip
def test_a_deadline_before_the_limit_is_refused(slo: str, longest: str) -> None:
    written = (
        "producers: {p: {kind: http, url: http://x/}}\nevents: {e: {type: t, source: s}}\n"
        "probes: {r: {kind: http, url: 'http://x/{correlation_id}', deadline: 2s}}\n"
        "scenarios: {a: {producer: p, events: [e], probes: [r], load: [burst: 1]}}\n"
    )
    if slo.startswith("recovery"):
        slo = f"{{objective: {slo}, after: a}}"
    with pytest.raises(ConfigError) as refused:
        read(f"{written}slos: [{slo}]\n")
    assert f"probe 'r' gives up after 2 s, before the limit of {longest}" in str(refused.value)
    assert read(f"{written}slos: [p99(consistency) < 2s, p99(publish) < 9s, lost == 0]\n").config.slos


def test_the_name_may_be_given_and_is_made_of_the_files_name_otherwise(directory: Path) -> None:
    assert read("name: x y\n" + TEXT, base_dir=directory).config.name == "x y"
    for name, made in (("dir/größe.yml", "größe"), ("-", "run"), (".a+b.yaml", "a-b")):
        assert load_text(TEXT, name, base_dir=directory, environ=ENVIRON).config.name == made


def test_the_address_of_the_sandbox(directory: Path) -> None:
    assert producer(read(base_dir=directory), "own").url == "http://127.0.0.1:9/events"
    loaded = read(base_dir=directory)
    late = loaded.at_sandbox("http://127.0.0.1:4242")
    assert late.producers["own"] == producer(loaded, "own").model_copy(update={"url": "http://127.0.0.1:4242/events"})
    assert replace(late, producers=loaded.config.producers, probes=loaded.config.probes) == loaded.config
    assert "{sandbox}/events" in loaded.as_run()


def test_the_address_of_the_sandbox_in_each_replica_of_a_probe(directory: Path) -> None:
    text = TEXT.replace("probes:\n", "probes:\n  regions:\n    kind: http\n    url: '{sandbox}/x/{correlation_id}'\n"
                        "    at:\n      eu: {url: '{sandbox}/eu/{correlation_id}'}\n"
                        "      us: {timeout: 1s}\n", 1)  # fmt: skip
    late = read(text, base_dir=directory).at_sandbox("http://127.0.0.1:4242")
    assert [getattr(one, "url") for one in late.replicas["regions"].values()] == [  # noqa: B009
        "http://127.0.0.1:4242/eu/{correlation_id}", "http://127.0.0.1:4242/x/{correlation_id}",
    ]  # fmt: skip
    assert late.probes["regions"].at["eu"] == {"url": "http://127.0.0.1:4242/eu/{correlation_id}"}


def test_set_changes_and_adds_values(directory: Path) -> None:
    loaded = read(
        base_dir=directory,
        sets=[
            "seed=11",
            "scenarios.both.load.0.rate=200/s",
            "scenarios.both.load.2={burst: 9}",
            "probes.model.confirm.reads=0",
            'probes."model".deadline=1m',
            r"producers.own\.2={kind: http, url: http://other/}",
            "slos=[lost == 0]",
        ],
    )
    config = loaded.config
    assert config.seed == 11
    assert config.scenarios["both"].load == (
        Hold(**{"rate": "200/s", "for": "5m"}),
        Burst(burst=5),
        Burst(burst=9),
    )
    assert config.probes["model"].confirm.reads == 0
    assert config.probes["model"].deadline == 60_000_000_000
    assert producer(loaded, "own.2").url == "http://other/"
    assert [objective.expression for objective in config.slos] == ["lost == 0"]


def test_set_changes_one_place_of_several_that_share_an_anchor(directory: Path) -> None:
    text = TEXT.replace("load: [{rate: 1/s, for: 10s}]", "load: &l [{rate: 1/s, for: 10s}]") + "\n"
    text = text.replace("slos:", "  third: {producer: own, events: [created], load: *l}\nslos:")
    scenarios = read(text, base_dir=directory, sets=["scenarios.third.load.0.rate=9/s"]).config.scenarios
    assert scenarios["plain"].load == (Hold(**{"rate": "1/s", "for": "10s"}),)
    assert scenarios["third"].load == (Hold(**{"rate": "9/s", "for": "10s"}),)


def test_the_config_as_run_loads_again_to_the_same(directory: Path) -> None:
    loaded = read(base_dir=directory, sets=["scenarios.both.load.0.rate=200/s"])
    text = loaded.as_run()
    again = load_text(text, "config.yaml", base_dir=directory, environ=ENVIRON)
    assert again.config == loaded.config
    assert again.as_run() == text
    assert "200/s" in text
    assert list(yamlfile.document(yamlfile.parse(text, ""), str)[0].data) == [
        "seed", "settle", "sandbox", "producers", "events", "probes", "scenarios", "slos", "name",
    ]  # fmt: skip


def test_the_config_as_run_holds_no_secret(directory: Path) -> None:
    text = read(base_dir=directory).as_run()
    assert "t0p-secret" not in text
    assert '"Bearer ${TOKEN}"' in text
    assert '"${URL:-http://localhost:8080/events}"' in text
    assert '"5 $$"' in text


def test_redaction_hides_what_came_from_the_environment_but_no_default(directory: Path) -> None:
    loaded = read(base_dir=directory)
    told = loaded.redact("Bearer t0p-secret at http://localhost:8080/events, 5 times")
    assert told == "Bearer ${TOKEN} at http://localhost:8080/events, 5 times"


def test_redaction_takes_the_longest_first_and_knows_what_escaping_does() -> None:
    redact = Redactor({"A": "abc", "B": "abcdef", "C": 'quo"te\n', "D": "p/w d", "E": "true", "F": "xy"})
    assert redact("abcdef abc") == "${B} ${A}"
    assert redact(repr('quo"te\n')) == "'${C}'"
    assert redact('{"a": "quo\\"te\\n"}') == '{"a": "${C}"}'
    assert redact("http://x/p%2Fw%20d p/w d p%2Fw+d") == "http://x/${D} ${D} ${D}"
    assert redact("true xy") == "true xy"


def test_redaction_knows_a_value_without_the_space_around_it() -> None:
    """A file that ends with a new line is the usual way to a secret that has one; servers quote it without."""
    redact = Redactor({"T": " hush\n"})
    assert redact("hush! ' hush\n'") == "${T}! '${T}'"


@pytest.mark.parametrize(
    "quoted",
    [
        'gé"heim', 'gé\\"heim', 'g\\u00e9\\"heim', "'gé\"heim'", "g%C3%A9%22heim", "x=g%C3%A9%22heim&y=1",
    ],
)  # fmt: skip
def test_redaction_knows_letters_beyond_ascii_in_every_form(quoted: str) -> None:
    """As it is, as JSON with or without such letters, as Python shows it, in a URL."""
    told = Redactor({"T": 'gé"heim'})(quoted)
    assert "${T}" in told
    assert "heim" not in told


@pytest.mark.parametrize(
    ("told", "masked"),
    [
        ("HTTP 403: no place for hush-5f…", "HTTP 403: no place for ${T}…"),
        ("hus…", "${T}…"),
        ("hush-5f2…", "${T}…"),
        ("hush-5f2a…", "${T}…"),
        ("say hu…", "say hu…"),
        ("hush-5f", "hush-5f"),
        ("hush-5f… or hush-5f2a, and hus… more", "${T}… or ${T}, and ${T}… more"),
        ("a hushed…", "a hushed…"),
        ("to https://hooks.inter…", "to ${URL}…"),
        ("write https://…", "write https://…"),
        ("to 'https://hooks.internal/…', which", "to '${URL}…', which"),
        ("of b%21c%21…", "of ${Q}…"),
    ],
)
def test_redaction_knows_the_beginning_of_a_value_where_a_text_was_cut(told: str, masked: str) -> None:
    """Three letters of it at least; of an address one behind its two slashes."""
    redact = Redactor({"T": "hush-5f2a", "URL": "https://hooks.internal/abc", "Q": "b!c!d!e"})
    assert redact(told) == masked


def test_redaction_knows_what_basic_authentication_makes_of_an_address() -> None:
    """Of those alone that hold a value, under the name of that value; what is percent-encoded is decoded."""
    given = {"OTHER": "unused-value", "PASSWORD": "p%40ss"}
    redact = Redactor(
        given, ["http://robot:p%40ss@h/x", "http://robot:plain@h/x", "http://h/p%40ss", "http://[:p%40ss"]
    )
    held, plain = (base64.b64encode(text).decode() for text in (b"robot:p@ss", b"robot:plain"))
    assert redact(f"Basic {held} is not {plain}") == f"Basic ${{PASSWORD}} is not {plain}"
    named = Redactor({"USER": "ro%40bot"}, ["http://ro%40bot@h/x"])
    assert named(base64.b64encode(b"ro@bot:").decode()) == "${USER}"
    assert Redactor({"EMPTY": ""}, ["http://robot:plain@h"])(plain) == plain


def test_redaction_takes_the_longest_beginning() -> None:
    redact = Redactor({"A": "push-hush", "B": "hush-now", "C": "hush-never"})
    assert redact("push-hush-n…") == "${A}-n…"
    assert redact("x hush-n…") in ("x ${B}…", "x ${C}…")
    assert redact("x push-hus…") == "x ${A}…"


def test_redaction_hides_the_parts_of_an_address() -> None:
    redact = Redactor({"URL": "amqp://user:p%40ss@mq.internal:5672/vhost?token=x"})
    assert redact("p%40ss or p@ss at amqp://mq.internal:5672/vhost") == "${URL} or ${URL} at ${URL}"
    hook = Redactor({"HOOK": "https://hooks.internal/abc?t=1#part"})
    assert hook("at https://hooks.internal/abc, or https://hooks.internal/abc?t=1#part") == "at ${HOOK}, or ${HOOK}"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwoz"),
        ("${NO:-d}", "d"),
        ("${NO:-}", ""),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", ""),
        ("${NO:-${A}-${NO:-x}}", "one-x"),
        ("${NO:-http://x/{correlation_id}}/y", "http://x/{correlation_id}/y"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$$$A $", "$$A $"),
        ("{A}", "{A}"),
        ("${NEST}", "${A}"),
    ],
)
def test_substitution(text: str, becomes: str) -> None:
    environ = {"A": "one", "B": "two", "EMPTY": "", "NEST": "${A}"}
    assert Environment(environ).substitute(text) == becomes


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("5", 5), ("-5", -5), ("0.5", 0.5), ("100000.0", 100000.0), ("true", True), ("null", None), ("", None),
        ("x", "x"),
        # No number is written like these, so they may be a password, a version, an id.
        ("1e5", "1e5"), ("1.10", "1.10"), ("+5", "+5"), ("1.", "1."), (".5", ".5"), ("1E5", "1E5"),
    ],
)  # fmt: skip
def test_a_variable_is_a_number_where_it_is_written_like_one(value: str, becomes: object) -> None:
    assert data_of("a: ${V}", {"V": value}) == becomes
    assert data_of('a: "${V}"', {"V": value}) == value
    assert data_of("a: x${V}", {"V": value}) == f"x{value}"


def test_what_stands_in_the_file_itself_is_what_yaml_says() -> None:
    assert data_of("a: 1.10") == 1.1
    assert data_of("a: 1e5") == 100_000.0


def test_a_number_is_taken_where_one_is_wanted_however_it_is_written(directory: Path) -> None:
    text = TEXT.replace("seed: 7\n", "seed: ${SEED}\n")
    assert read(text, base_dir=directory, environ={**ENVIRON, "SEED": "+7"}).config.seed == 7
    with pytest.raises(ConfigError, match="is not a whole number"):
        read(text, base_dir=directory, environ={**ENVIRON, "SEED": "7.5"})


def test_a_password_like_a_number_is_a_password(directory: Path) -> None:
    own = "  own:\n    kind: http\n    url: http://h/\n    auth:\n      bearer: ${PW}\n"
    text = TEXT.replace('  own: {kind: http, url: "{sandbox}/events"}\n', own)
    auth = producer(read(text, base_dir=directory, environ={**ENVIRON, "PW": "1e5"}), "own").auth
    assert auth is not None
    assert auth.bearer == "1e5"
    with pytest.raises(ConfigError) as refused:
        read(text, base_dir=directory, environ={**ENVIRON, "PW": "12345678"})
    assert '${PW} is not text; put it in quotes: "${PW}"' in str(refused.value)


def test_only_variables_that_were_used_are_secrets() -> None:
    environment = Environment({"A": "one", "B": "two"})
    environment.substitute("${A} ${C:-three}")
    assert environment.given == {"A": "one"}


def data_of(text: str, environ: Mapping[str, str] | None = None) -> object:
    document, refused = yamlfile.document(yamlfile.parse(text, "x"), Environment(environ or {}).substitute)
    assert not refused
    return document.data["a"]


_TRAPS = (
    "on", "off", "yes", "no", "y", "1:30", "0777", "-012", "0x1F", "1_000", "2024-01-01", "2024-01-01T00:00:00Z",
    ".inf", ".nan", "1e999", "<<", "=", "9" * 1001,
)  # fmt: skip


@pytest.mark.parametrize("text", _TRAPS)
def test_traps_of_yaml_stay_text(text: str) -> None:
    assert data_of(f"a: {text}") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-5", -5), ("+5", 5), ("0", 0), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("true", True),
     ("False", False), ("null", None), ("~", None), ("", None), ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"),
     ("|\n  5\n", "5\n"), ("[1, {b: c}]", [1, {"b": "c"}]), ("{1: x, true: y}", {"1": "x", "true": "y"})],
)  # fmt: skip
def test_scalars_by_the_core_schema(text: str, value: object) -> None:
    found = data_of(f"a: {text}")
    assert found == value
    assert type(found) is type(value)


def test_a_variable_gets_the_type_of_its_value_unless_it_is_quoted() -> None:
    environ = {"N": "5", "T": "true"}
    assert data_of("a: ${N}", environ) == 5
    assert data_of("a: '${N}'", environ) == "5"
    assert data_of("a: ${T}", environ) is True
    assert data_of("a: ${N}s", environ) == "5s"
    assert data_of("a: ${X:-7}", environ) == 7


def test_anchors_and_merges() -> None:
    text = "b: &b {x: 1, y: 2}\nc: &c {y: 3, z: 4}\na: {<<: [*b, *c], x: 5, w: *b}\n"
    assert data_of(text) == {"x": 5, "w": {"x": 1, "y": 2}, "y": 2, "z": 4}


def test_positions_of_keys_and_values() -> None:
    document, _ = yamlfile.document(yamlfile.parse("a:\n  b: [1,\n    {c: d}]\n", "f"), str)
    assert str(document.position(("a", "b", 1, "c"))) == "f:3:9"
    assert str(document.position(("a", "b", 1, "c"), key=True)) == "f:3:6"
    assert str(document.position(("a", "b", 0))) == "f:2:7"
    assert str(document.position(("a", "nothing", "here"))) == "f:2:3"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=50)
@given(_JSON)
def test_what_is_written_reads_back(value: object) -> None:
    tree = yamlfile.parse(json.dumps({"a": value}), "x")
    again = yamlfile.document(yamlfile.parse(yamlfile.dump(tree), "x"), str)[0].data
    assert again == {"a": value}


def test_a_byte_order_mark_is_no_character(directory: Path) -> None:
    path = directory / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load(path, environ=ENVIRON).config.seed == 7


def test_what_a_probe_needs_is_asked_for_only_where_a_scenario_is_meant(directory: Path) -> None:
    objective = "- {objective: lost == 0, scenario: plain}"
    with pytest.raises(ConfigError, match="nobody looks for the effects that 'lost == 0' is about"):
        read(TEXT + f"  {objective}\n", base_dir=directory)
    read(TEXT + f"  {objective.replace('plain', 'both')}\n", base_dir=directory)
