"""What the JSON Schema accepts is loaded, but for what a schema can't know; what it refuses nobody can load."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, seed, settings
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from evload.config import load_text
from evload.config import yaml as yamlfile
from evload.config.schema import json_schema
from evload.errors import ConfigError
from tests.rigs.mutated_configs import ENVIRON, SHIPPED, as_text, slight_mutants

FEW: Final = 50
MANY: Final = 3000
SCHEMA: Final = Draft202012Validator(json_schema(print))
LOADER_ALONE: Final = (
    (
        r"unknown (producer|event|probe|scenario|replica) |there is no (metric or gauge|gauge|counter) "
        r"|watches none of these|captures nothing|nobody looks for|no (probe|gauge|producer)\b|gives up after",
        "a schema sees each part by itself, and not what another part calls it or has",
    ),
    (
        r"placeholder|there is no \{|isn't a single value|refers to itself|is referred to over|\{record\.|\{choice:"
        r"|in an event without|a lone [{}]|the range of|isn't a range|this event has more than|\{sandbox\} without",
        "a template has a grammar of its own, and refers to other values",
    ),
    (r"^data file ", "a schema reads no files"),
    (
        r"is not an objective|is not a (duration|share|rate|number|size)|target|critical|longer than 1000 characters"
        r"|can't be kept|would always hold",
        "an objective has a grammar of its own, and has to be decidable",
    ),
    (
        r"has no scheme|address|host|port|space or a control|is not JMESPath|looks at|calls the unknown|nested too"
        r"|:ids|query|the probe looks at|the same for every event",
        "addresses, expressions and queries have grammars of their own",
    ),
    (
        r"environment variable|value of a param|'\$\{' is never closed|braces within"
        r"|with \w+ the variables are longer|(true|false|[-+.\de]+) is not text$",
        "a schema sees variables, and not what they hold",
    ),
    (
        r"neither \w+ nor \w+ |ids without items|asks for no event|exchange '' is the broker's own| goes with "
        r"|without a |is of no use|is for |needs ",
        "what goes together with what is said in words",
    ),
    (
        r" can't stand here$|has to count from (a|one) moment|binding leads to",
        "what goes together with what is said in words",
    ),
    (r"^the key 'url' is missing|^unknown key ", "what stands under `at` completes what stands beside it"),
    (
        r"this load |is too (small|large|long|high|short)|is not a name|too large a number"
        r"|more than \d+ (values|levels)|e\+\d+ is not a whole number$",
        "a schema counts no units, no values and no characters of a key",
    ),
    (
        r"is not (an SQS queue|an event bus|a (header name|method|final|header's)|the name of|where the management)"
        r"|is no (path|ssl-mode|proxy|method|such thing)|nowhere to listen|names no (file|limit)|has a (fragment|/)"
        r"|unknown parameter|parameter '\w+' in|is set (for you|by oauth2)|line break|control character"
        r"|doesn't fit into|can't stand before|'amq\.' are|can't be captured|no way to write|no status is expected"
        r"|is not free|a file of the run itself|are its buckets",
        "names, queues and parts of addresses have grammars of their own, and some are taken",
    ),
    (
        r"are \d+ bodies|two (bodies|logins|replicas)|is a template|a template can't|both match|is one of "
        r"|listed twice|comes? before|before it is undone|nothing says|from one place|names no events"
        r"|can't (tell|share|change|come)"
        r"|is part of mode|names already|name of a distribution|the management API|belongs? to |is about a metric"
        r"|asks for one id|many ids|holds no \{|has no (answer|\w+; leave)|is always durable|more than \d+ times",
        "what goes together is said in words",
    ),
    (
        r"unknown action|isn't a figure|is no (filter|usage|price|counter)|a price can be|isn't text|has no value"
        r"|doesn't fit|is not text$|is not a (delay|condition)|is no choice here|it lasts until|a hop ends at"
        r"|the variables are longer|is longer than \d+ bytes",
        "names of what is elsewhere in the config, and texts that have a grammar of their own",
    ),
    (
        r"unknown (variable|journey|pool)|gives to the pool|no scenario makes the journey|is known from step"
        r"|is drawn |isn't known here|another step of this journey|what this step sends|is what the set-up captures"
        r"|stands for something|is of what is sent|would put a secret|is captured (as a secret|in an iteration)"
        r"|is a secret, and|is a mapping, and no|can stand (as the last|in the first)|no step of this journey"
        r"|expected, .*and refused|is expected and refused|goes with|exclude each other|two requests|things to do"
        r"|whole iterations|users make journeys|iterations (is|are)|is said of|at most, and the limit|has a step"
        r"|is a step of|is of kind|is not the name of a step|has (begin|end):|the phases before the last"
        r"|random arrivals|next iteration is due|has no users|nobody can ask it|no answers that an expression"
        r"|an iteration of a journey has|is no step|no answer is refused|one body, and this has|a whole address",
        "what a journey knows at which step, and what goes together there, is said in words",
    ),
    (r"…$", "of a very long text the beginning alone is told, and not what is wrong with it"),
)  # fmt: skip
"""What the loader says of what the schema accepts, and why the schema can't."""
LOADER_TAKES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "a number in quotes, which is what a variable in quotes is": lambda value: (
        isinstance(value, str) and re.fullmatch(r"\s*[-+]?[\d_.]+(e[-+]?\d+)?\s*", value, re.IGNORECASE) is not None
    ),
    "a whole number that is written with a fraction": lambda value: isinstance(value, float) and value.is_integer(),
    "an empty list of routing keys, which is no binding": lambda value: value == [],
}
"""What of values the loader takes though the schema refuses them, by the reason."""


def _leaves(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """What is said of single values, from whatever branch of the schema."""
    for error in errors:
        yield from _leaves(error.context) if error.context else (error,)


def _overridden(error: ValidationError, written: Any) -> bool:
    """Whether it is about a key of a probe that each replica has under `at`: what is beside it is used by nobody."""
    path = list(error.absolute_path)
    if len(path) < 3 or path[0] != "probes":
        return False
    replicas = written["probes"][path[1]].get("at")
    return isinstance(replicas, dict) and all(isinstance(one, dict) and path[2] in one for one in replicas.values())


def compared(name: str, data: Any) -> None:
    text = as_text(data)
    try:
        written = yamlfile.document(yamlfile.parse(text, name), str)[0].data
    except ConfigError:
        return  # no data that a schema could look at
    accepted = SCHEMA.is_valid(written)
    try:
        load_text(text, name, base_dir=SHIPPED[name].parent, environ=ENVIRON)
    except ConfigError as error:
        unlisted = [
            problem.what
            for problem in error.problems
            if accepted and not any(re.search(pattern, problem.what) for pattern, _ in LOADER_ALONE)
        ]
        assert not unlisted
    else:
        refused = list(_leaves(SCHEMA.iter_errors(written)))
        known = any(takes(error.instance) for error in refused for takes in LOADER_TAKES.values())
        known = known or any(_overridden(error, written) for error in refused)
        assert accepted or known, [error.message[:200] for error in refused]


CONFIG: Final = """\
seed: 5
producers: {p: {kind: rabbitmq, url: "amqp://localhost/", exchange: x, declare: {exchange: {durable: true}}}}
events: {e: {type: t, source: /tests}}
scenarios: {s: {producer: p, events: {e: 1}, load: [{burst: 5}]}}
slos: [{objective: errors == 0, abort: true}]
"""


@pytest.mark.parametrize(
    ("written", "instead", "good"),
    [
        ("burst: 5", "burst: true", False),
        ("burst: 5", "burst: 5.0", True),
        ("burst: 5", "burst: 5.5", False),
        ("burst: 5", 'burst: "${NUMBER}"', True),
        ("seed: 5", "seed: false", False),
        ("seed: 5", "seed: 0", True),
        ("durable: true", "durable: 0", False),
        ("durable: true", "durable: 1.0", False),
        ("durable: true", 'durable: "${FLAG}"', True),
        ("abort: true", "abort: 0", False),
        ("abort: true", "abort: {after: 0}", True),
        ("abort: true", "abort: {after: 5}", False),
        ("abort: true", "abort: {after: false}", False),
    ],
)
def test_truth_is_no_number_for_either(written: str, instead: str, good: bool) -> None:
    text = CONFIG.replace(written, instead)
    assert SCHEMA.is_valid(yamlfile.document(yamlfile.parse(text, "c.yaml"), str)[0].data) == good
    environ = {"NUMBER": "7", "FLAG": "false"}
    if good:
        load_text(text, "c.yaml", environ=environ)
    else:
        with pytest.raises(ConfigError):
            load_text(text, "c.yaml", environ=environ)


@settings(max_examples=FEW, derandomize=True, deadline=None)
@given(slight_mutants())
def test_both_agree_on_whatever_is_changed(mutant: tuple[str, Any]) -> None:
    compared(*mutant)


@pytest.mark.long
def test_both_agree_on_thousands() -> None:
    @seed(int(os.environ.get("SEED", "1")))
    @settings(
        max_examples=MANY, derandomize=False, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(slight_mutants())
    def compare_all(mutant: tuple[str, Any]) -> None:
        compared(*mutant)

    compare_all()
