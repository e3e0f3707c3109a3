"""Profiles: changes of a config that are chosen by name, what they may change, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from evload.config import LoadedConfig, load, load_text
from evload.config.part import check_profiles, part_of
from evload.errors import ConfigError, UsageError
from evload.workload.schedule import duration_ns, expected_events

TEXT = """\
producers: {api: {kind: http, url: "http://localhost:8080/events"}}
events: {created: {type: created, source: /evload}}
scenarios:
  mixed: {producer: api, events: [created], load: [{rate: 100/s, for: 5m}]}
  spike: {producer: api, events: [created], start: 5m, load: [{burst: 500}]}
slos: ["p99(publish) < 5s", {objective: errors == 0, scenario: spike}]
profiles:
  smoke: {only: [mixed], "scenarios.mixed.load": [{rate: 5/s, for: 1m}], +slos: [errors == 0]}
  staging: {"producers.api.url": "https://staging.example.com/${TENANT}", seed: 9}
  quick: {"scenarios.mixed.load.0.for": 10s}
"""
ENVIRON = {"TENANT": "tenant-0815"}


def read(
    *profiles: str, text: str = TEXT, environ: dict[str, str] = ENVIRON, sets: list[str] | None = None
) -> LoadedConfig:
    return part_of(load_text(text, "load.yaml", profiles=profiles, environ=environ, sets=sets or ()), ())


def events(loaded: LoadedConfig, scenario: str = "mixed") -> tuple[int, int]:
    load = loaded.config.scenarios[scenario].load
    return expected_events(load), duration_ns(load) // 1_000_000_000


def test_none_is_chosen_and_what_they_need_may_be_missing() -> None:
    loaded = read(environ={})
    assert (events(loaded), list(loaded.config.scenarios)) == ((30_000, 300), ["mixed", "spike"])
    assert loaded.config.circumstances.profiles == ()
    assert loaded.profiles.known == ("smoke", "staging", "quick")


def test_one_changes_values_adds_to_a_list_and_is_about_a_part() -> None:
    loaded = read("smoke")
    config = loaded.config
    assert (events(loaded), list(config.scenarios)) == ((300, 60), ["mixed"])
    assert [objective.title for objective in config.slos] == ["p99(publish) < 5s", "errors == 0"]
    about = config.circumstances
    assert (about.profiles, about.scenarios, about.not_asked) == (("smoke",), ("mixed",), ("errors == 0 [spike]",))


def test_several_come_one_after_another_and_options_after_them() -> None:
    loaded = read("staging", "smoke", "quick", sets=["seed=11"])
    assert events(loaded) == (50, 10)
    assert loaded.config.seed == 11
    assert loaded.config.circumstances.profiles == ("staging", "smoke", "quick")
    assert loaded.redact("https://staging.example.com/tenant-0815") == "https://staging.example.com/${TENANT}"
    assert events(read("quick", "smoke")) == (300, 60), "the later one has the last word"


def test_who_chooses_scenarios_has_the_last_word() -> None:
    loaded = load_text(TEXT, "load.yaml", profiles=["smoke"], environ={})
    assert list(part_of(loaded, ["spike"]).config.scenarios) == ["spike"]


def test_the_config_as_run_is_changed_names_them_and_reads_the_same_again() -> None:
    loaded = load_text(TEXT, "load.yaml", profiles=["quick", "staging"], environ=ENVIRON)
    text = loaded.as_run()
    assert text.startswith('# run with --profile "quick" --profile "staging"\n')
    assert "profiles" not in text.partition("\n")[2]
    again = load_text(text, "config.yaml", environ=ENVIRON).config
    assert (again.scenarios, again.producers) == (loaded.config.scenarios, loaded.config.producers)


def test_a_name_that_there_isnt() -> None:
    with pytest.raises(UsageError, match=r"--profile smok: there is no such profile; did you mean 'smoke'\?"):
        read("smok")
    with pytest.raises(UsageError, match="--profile a: there is no such profile; write it under profiles:"):
        read("a", text=TEXT.partition("profiles:")[0])


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{scenarois.mixed.start: 1s}", "load.yaml:9:34: there is no 'scenarois' in the config; did you mean"),
        ("{scenarios.mixed.load: 5}", "load.yaml:9:33: 5 is not a list"),
        ("{scenarios.mixed.lod: [{burst: 5}]}", "load.yaml:9:32: unknown key 'lod'; did you mean 'load'?"),
        ("{+seed: [1]}", "load.yaml:9:18: there is no list at seed; leave out the +"),
        ("{+slos: errors == 0}", "load.yaml:9:18: +slos is no list; write the items to add as a list"),
        ("{only: [mixde]}", "load.yaml:9:18: there is no scenario 'mixde'; did you mean 'mixed'?"),
        ("{only: {a: 1}}", "load.yaml:9:17: only: names no scenarios; write a list of names"),
        ("{actions.slow.at: 1m}", "load.yaml:9:28: the key 'do' is missing"),
        ("[a]", "load.yaml:9:10: the profile 'smoke' is no mapping; write paths with the values to put there"),
    ],
    ids=["path", "value", "key", "no list there", "no list", "scenario", "only", "what isn't there", "profile"],
)  # fmt: skip
def test_a_mistake_is_told_where_the_profile_has_it(written: str, told: str) -> None:
    text = "\n".join(f"  smoke: {written}" if "smoke" in line else line for line in TEXT.splitlines())
    with pytest.raises(ConfigError) as caught:
        read("smoke", text=f"seed: 1\n{text}\n")
    assert str(caught.value.problems[0]).startswith(told)


@pytest.mark.parametrize("written", ["", "~", "5", "[a]"])
def test_a_profile_that_says_nothing_is_refused_whether_it_is_chosen_or_not(written: str) -> None:
    text = "\n".join(f"  smoke: {written}" if "smoke" in line else line for line in TEXT.splitlines())
    with pytest.raises(ConfigError) as caught:
        read(text=f"{text}\n")
    (problem,) = caught.value.problems
    assert (problem.what, problem.cure) == (
        "the profile 'smoke' is no mapping", "write paths with the values to put there",
    )  # fmt: skip
    assert problem.where.startswith("load.yaml:8:")


def test_validate_looks_at_each_of_them(tmp_path: Path) -> None:
    path = tmp_path / "load.yaml"
    path.write_text(TEXT.replace('for": 10s', 'for": 10').replace("seed: 9", "seed: x"))
    loaded = load(path, environ=ENVIRON)
    with pytest.raises(ConfigError) as caught:
        check_profiles(loaded, path, (), ENVIRON)
    assert [str(problem).partition(str(path))[2].partition(";")[0] for problem in caught.value.problems] == [
        ":9:81: with the profile staging: 'x' is not a whole number",
        ":10:41: with the profile quick: 10 is not a duration",
    ]
    path.write_text(TEXT)
    check_profiles(load(path, environ=ENVIRON), path, (), ENVIRON)
