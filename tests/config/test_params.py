"""Labels and params: what a config takes from the environment and shows, where all else from there is a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from evload.config import LoadedConfig, load_text
from evload.errors import ConfigError
from evload.workload.schedule import duration_ns, expected_events

TEXT = """\
labels: {environment: "${ENVIRONMENT:-dev}", build: "${GIT_SHA:-local}", team: 7}
params:
  rate: {from: RATE, default: 20/s}
  host: {from: HOST}
  seconds: 30
producers: {api: {kind: http, url: "http://${params.host}:8080/${TENANT}"}}
events: {created: {type: created, source: /evload, data: {host: "${HOST}"}}}
scenarios:
  main: {producer: api, events: [created], load: [{rate: "${params.rate}", for: "${params.seconds}s"}]}
"""
ENVIRON = {"HOST": "staging-7.example.com", "TENANT": "tenant-0815", "GIT_SHA": "4f1c2b9a"}


def read(text: str = TEXT, environ: Mapping[str, str] = ENVIRON, sets: Sequence[str] = ()) -> LoadedConfig:
    return load_text(text, "load.yaml", environ=environ, sets=sets)


def problems(text: str, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, environ)
    return [str(problem) for problem in caught.value.problems]


def test_params_stand_where_they_are_named_and_both_are_shown() -> None:
    loaded = read()
    config = loaded.config
    assert config.circumstances.labels == {"environment": "dev", "build": "4f1c2b9a", "team": "7"}
    assert config.circumstances.params == {"rate": "20/s", "host": "staging-7.example.com", "seconds": "30"}
    load = config.scenarios["main"].load
    assert (expected_events(load), duration_ns(load)) == (600, 30_000_000_000)
    assert config.producers["api"].model_dump()["url"] == "http://staging-7.example.com:8080/tenant-0815"


def test_what_a_label_or_a_param_shows_is_no_secret_and_all_else_is() -> None:
    loaded = read()
    assert loaded.redact("4f1c2b9a on staging-7.example.com") == "4f1c2b9a on staging-7.example.com"
    assert loaded.redact("not tenant-0815") == "not ${TENANT}"
    hidden = read(TEXT.replace('build: "${GIT_SHA:-local}", ', "").replace("/${TENANT}", "/${GIT_SHA}"))
    assert hidden.redact("4f1c2b9a") == "${GIT_SHA}"


def test_the_environment_comes_before_a_default_and_set_changes_both() -> None:
    assert read(environ={**ENVIRON, "RATE": "7/s"}).config.circumstances.params["rate"] == "7/s"
    loaded = read(sets=["params.rate=9/s", "labels.environment=ci"])
    assert loaded.config.circumstances.params["rate"] == "9/s"
    assert loaded.config.circumstances.labels["environment"] == "ci"
    assert float(loaded.config.scenarios["main"].load[0].rate) == 9  # type: ignore[union-attr]


def test_the_config_as_run_reads_the_same_again() -> None:
    loaded = read()
    again = load_text(loaded.as_run(), "config.yaml", environ=ENVIRON)
    assert again.config == loaded.config
    assert "staging-7" not in loaded.as_run(), "it names the variable, and the report its value"


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        (
            "{from: HOST}", "{from: HOSTNAME_9}",
            "load.yaml:4:9: environment variable HOSTNAME_9 isn't set; set it, or give the param a default:",
        ),
        ("{from: HOST}", "{}", "load.yaml:4:9: it has no value; write default:, or from:"),
        ("{from: HOST}", "{form: HOST}", "load.yaml:4:10: unknown key 'form'; did you mean 'from'?"),
        ("${params.rate}", "${params.rat}", "load.yaml:9:58: there is no value of a param 'rat'"),
        ("team: 7", "team: [a]", "load.yaml:1:80: this is no short text; write a text"),
        ("team: 7", "team: " + "x" * 201, "load.yaml:1:80: this is no short text; write a text"),
        ("team: 7", 'team: "${NOBODY}"', "load.yaml:1:80: environment variable NOBODY isn't set"),
    ],
    ids=["not set", "nothing", "slip", "unknown", "list", "long", "label"],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(written: str, instead: str, told: str) -> None:
    assert any(problem.startswith(told) for problem in problems(TEXT.replace(written, instead))), problems(
        TEXT.replace(written, instead)
    )


def test_a_param_can_have_a_default_of_its_own_where_it_is_used() -> None:
    loaded = read(TEXT.replace("${params.rate}", "${params.rat:-3/s}"))
    assert float(loaded.config.scenarios["main"].load[0].rate) == 3  # type: ignore[union-attr]
