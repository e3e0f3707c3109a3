"""The command line: verbs, options, exit codes. Each verb imports what it needs when it is called."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

from . import __version__
from .errors import EvloadError, NotUndoneError, OutputError, UsageError
from .terminal.streams import Stream, complain, nobody_reads, take_over
from .terminal.verbs import VERBS, columns, listing
from .texts import meant, printable

if TYPE_CHECKING:
    from .config.run_config import LoadedConfig
    from .run.session import Ended
    from .terminal.console import PlainConsole


BUG = 70
"""Exit code of an unexpected exception (EX_SOFTWARE); 1 would read as a failed objective."""


class _Verbs(TyperGroup):
    """All verbs, which are listed without any of this."""

    def get_help(self, ctx: Any) -> str:
        return listing(columns()).rstrip()

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            cure = meant(args[0], list(VERBS), "see evload --help")
            raise UsageError(f"there is no verb {args[0]}; {cure}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="evload",
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Replace a value of the config, e.g. scenarios.a.load.0.rate=9/s."
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Directory for the results. Default: runs/<run id>.")
]
Scenarios = Annotated[
    list[str] | None,
    typer.Option("--scenario", metavar="NAME", help="Only this scenario, and what is asked of it; repeatable."),
]
Profiles = Annotated[
    list[str] | None,
    typer.Option("--profile", metavar="NAME", help="Change CONFIG by this profile of it; repeatable, in this order."),
]
MayLoad = Annotated[
    list[str] | None,
    typer.Option(
        "--i-may-load", metavar="HOST", help="Load it although the guard doesn't allow it; repeatable. Denied stays."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict and nothing else.")]
Json = Annotated[bool, typer.Option("--json", help="Print summary.json on stdout; all else goes to stderr.")]


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"evload {__version__}")
        raise typer.Exit


@app.command()
def run(
    configs: Annotated[
        list[Path], typer.Argument(metavar="CONFIG", help="YAML file, or several of them.", show_default=False)
    ],
    out: Out = None,
    sets: Sets = None,
    scenarios: Scenarios = None,
    profiles: Profiles = None,
    may_load: MayLoad = None,
    quiet: Quiet = False,
    as_json: Json = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="Serve a live page of the run to this machine; its address is printed.")
    ] = False,
    ui_port: Annotated[
        int | None,
        typer.Option("--ui-port", metavar="PORT", min=0, max=65535, help="Its port. Implies --ui. Default: any."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Write requests and answers, in samples, to traffic.jsonl in DIR.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave out the clean-up: `evload cleanup` does it later.")
    ] = False,
    repeat: Annotated[
        int,
        typer.Option("--repeat", metavar="N", min=1, max=1000, help="So many times: a set that `compare` takes."),
    ] = 1,
) -> None:
    """Run CONFIG, write its results, exit with the verdict.

    With --repeat, or of several configs, which take turns, it is a set of runs, and the worst verdict counts.
    Exit codes: 0 pass (also with warnings), 1 an objective failed, 2 the config is wrong, 3 a target can't be
    reached or something isn't undone, 4 inconclusive, 5 invalid measurement, 130 interrupted.
    """
    port = 0 if ui and ui_port is None else ui_port
    loaded = [_load(config, sets, scenarios, profiles, may_load) for config in configs]
    shown = _Shown(quiet=quiet, as_json=as_json, ui_port=port, verbose=verbose, keep=keep)
    if repeat == 1 and len(configs) == 1:
        _run(loaded[0], out, shown)
    _run_set(list(zip(configs, loaded, strict=True)), repeat, out, shown)


@app.command()
def validate(config: ConfigPath, sets: Sets = None, scenarios: Scenarios = None, profiles: Profiles = None) -> None:
    """Check CONFIG without touching any target."""
    from .config.part import check_profiles
    from .run.feasibility import cautions, may_end_early, prospects, total_ns
    from .units import format_duration

    loaded = _load(config, sets, scenarios, profiles)
    if not profiles:
        check_profiles(loaded, config, sets or (), os.environ)
    at_most = "up to " if may_end_early(loaded.config) else ""
    seconds = at_most + format_duration(total_ns(loaded.config))
    typer.echo(f"{config}: good; {len(loaded.config.scenarios)} scenario(s) over {seconds}")
    for prospect in prospects(loaded.config):
        if not prospect.decidable:
            typer.echo(f"note: {loaded.redact(prospect.objective.expression)} can't pass; see evload plan", err=True)
    for caution in cautions(loaded.config):
        typer.echo(f"note: {loaded.redact(caution)}", err=True)


@app.command()
def plan(config: ConfigPath, sets: Sets = None, scenarios: Scenarios = None, profiles: Profiles = None) -> None:
    """Print the timeline of CONFIG and what it can decide.

    Phases, numbers of events, and which objectives the run is long enough for.
    """
    from .commands.plan import print_plan

    print_plan(_console(), _load(config, sets, scenarios, profiles))


@app.command()
def burst(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="http(s)://..., amqp(s)://HOST/VHOST or eventbridge://BUS.", show_default=False
        ),
    ],
    rate: Annotated[str, typer.Option("--rate", metavar="RATE", help="Events per time, e.g. 500/s.")] = "10/s",
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long.")] = "10s",
    exchange: Annotated[
        str | None,
        typer.Option("--exchange", metavar="NAME", help="RabbitMQ: the exchange. Default: the default one."),
    ] = None,
    routing_key: Annotated[
        str | None, typer.Option("--routing-key", metavar="KEY", help="RabbitMQ: the routing key. Default: the type.")
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="URL", help="Where to look for the effect; holds {correlation_id}."),
    ] = None,
    tap: Annotated[
        bool, typer.Option("--tap", help="RabbitMQ: measure until delivery, with a queue of its own at the exchange.")
    ] = False,
    visible: Annotated[
        str | None, typer.Option("--visible", metavar="JMESPATH", help="When is it there? Default: status 200.")
    ] = None,
    deadline: Annotated[str, typer.Option("--deadline", help="An event not seen by then is lost.")] = "15s",
    slo: Annotated[
        list[str] | None, typer.Option("--slo", metavar="OBJECTIVE", help="e.g. 'p99(consistency) < 2s'; repeatable.")
    ] = None,
    mode: Annotated[str, typer.Option("--mode", help="structured, binary, batched or plain.")] = "structured",
    event_type: Annotated[str, typer.Option("--type", help="CloudEvents type.")] = "evload.burst",
    data: Annotated[
        str, typer.Option("--data", metavar="JSON", help="Data of the events, with placeholders.")
    ] = "{}",
    arrivals: Annotated[str, typer.Option("--arrivals", help="constant or poisson.")] = "constant",
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the config that this amounts to and exit.")
    ] = False,
    out: Out = None,
    sets: Sets = None,
    may_load: MayLoad = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Send a burst of events to URL, no file needed."""
    from .commands.adhoc import OPTIONS, burst_config
    from .config.guard import held
    from .config.load import load_text

    text = burst_config(
        url, rate=rate, lasting=lasting, exchange=exchange, routing_key=routing_key, probe=probe, visible=visible,
        tap=tap, deadline=deadline, slos=slo or (), mode=mode, event_type=event_type, data=data, arrivals=arrivals,
    )  # fmt: skip
    loaded = load_text(text, "burst", base_dir=Path(), sets=sets or (), environ=os.environ, options=OPTIONS)
    if print_config:
        typer.echo(loaded.as_run(), nl=False)
        return
    _run(held(loaded, os.environ, may_load or ()), out, _Shown(quiet=quiet, as_json=as_json))


@app.command()
def doctor(config: ConfigPath, sets: Sets = None, profiles: Profiles = None) -> None:
    """Check every target of CONFIG and this machine; send nothing.

    Can they be reached, are the permissions there, is this machine fast enough?
    """
    from .commands import doctor as examination

    raise typer.Exit(examination.run(_load(config, sets, profiles=profiles), _console()))


@app.command("try")
def try_out(
    config: ConfigPath,
    sets: Sets = None,
    profiles: Profiles = None,
    may_load: MayLoad = None,
    journeys: Annotated[
        list[str] | None,
        typer.Option("--journey", metavar="NAME", help="Go through this journey alone; repeatable."),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            "--wait",
            metavar="DURATION",
            help="Look on after a deadline for so long. Default: as long again, or 5s.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as JSON on stdout; all else goes to stderr.")
    ] = False,
) -> None:
    """Send one event of each kind, do each journey once, and show all.

    Exit codes: 0 every event was seen by its deadline and every journey completed, 1 one wasn't or didn't (and why),
    2 the config is wrong, 3 a target can't be reached, 130 interrupted.
    """
    from .commands import trying

    told = _err() if as_json else _out()
    console = _console(told)
    remarks = _console(_err())

    def say(text: str) -> None:
        remarks.print(f"note: {printable(text)}", soft_wrap=True)

    loaded = _load(config, sets, profiles=profiles, may_load=may_load)
    code = trying.run(
        loaded, console, journeys=journeys or (), wait=wait, say=say, document=_to_stdout if as_json else None
    )
    raise typer.Exit(code)


@app.command()
def sandbox(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Take the settings from its `sandbox:`.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, e.g. visibility=200ms.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")] = 8080,
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="FILE", help="Where to write, at the end, what really happened.")
    ] = None,
) -> None:
    """Run the embedded pipeline on its own. Ctrl-C ends it.

    A broker, a queue, workers and a read model in one process.
    """
    from .commands.adhoc import sandbox_settings
    from .sandbox.process import run_server

    settings = sandbox_settings(config, sets or (), os.environ)
    run_server(settings, port=port, truth_path=truth, ready=_say_where)


@app.command()
def selftest(
    quiet: Quiet = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Keep the results there. Default: they are not kept.")
    ] = None,
) -> None:
    """Check evload itself against planted faults.

    Measures the embedded pipeline, and compares the result with the truth that it kept.
    """
    from .commands import selftest as positive_control

    raise typer.Exit(positive_control.run(_console(), out=out, quiet=quiet))


class _WithFormats(TyperCommand):
    """A command whose help names the formats that are installed, looked up only when it is asked for."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from .commands.report import formats

        formatter.write_paragraph()
        formatter.write_text(f"Formats: {', '.join(formats())}.")


@app.command(cls=_WithFormats)
def report(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run.", show_default=False)],
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="One of those below.")] = "text",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="A file, or a directory for all files of the format."),
    ] = None,
) -> None:
    """Make the report of RUN again from its ledger.

    Also of a run that was killed or still goes on.
    """
    from .commands.report import again

    again(directory, form, out, _console(), _to_stdout)


@app.command()
def undo(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run.", show_default=False)],
    by_hand: Annotated[
        list[str] | None,
        typer.Option("--by-hand", metavar="ACTION", help="This one is undone already, by a person; repeatable."),
    ] = None,
) -> None:
    """Undo what RUN did to a system and left.

    What was ended by a crash of the machine, say. Variables are taken from the environment anew. Exit codes: 0 all
    is undone, 2 there is no such run, 3 something isn't undone.
    """
    from .commands import undo as undoing
    from .run.unfinished import state_directory

    console = _console()

    def say(text: str) -> None:
        console.print(printable(text), soft_wrap=True)

    undoing.run(directory, environ=os.environ, listed=state_directory(os.environ), say=say, by_hand=by_hand or ())


@app.command(short_help=VERBS["cleanup"])
def cleanup(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run.", show_default=False)],
    may_load: MayLoad = None,
) -> None:
    """Clean up after RUN: do what its config says under cleanup, as far as it isn't done.

    Variables are taken from the environment anew, and guards are asked anew. Exit codes: 0 all is done, 2 there is no
    such run, its config can't be used or a guard has something against it, 3 something couldn't be done.
    """
    from .commands import cleanup as cleaning

    console = _console()

    def say(text: str) -> None:
        console.print(printable(text), soft_wrap=True)

    cleaning.run(directory, environ=os.environ, say=say, may_load=may_load or ())


@app.command(short_help=VERBS["ceiling"])
def ceiling(
    config: ConfigPath,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", metavar="NAME", help="Of this one. Needed where CONFIG has several."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="RATE", help="The first rate to try. Default: 50/s.")
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="RATE", help="The highest one. Default: 5000/s, or what a guard allows."),
    ] = None,
    trial: Annotated[
        str | None,
        typer.Option(
            "--trial", metavar="DURATION", help="How long a trial is, before it is made longer. Default: 1m."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="SHARE", help="How narrow the interval has to be. Default: 5%."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Directory for the trials. Default: runs/ceiling-<id>."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the search that was left there.")
    ] = None,
    sets: Sets = None,
    profiles: Profiles = None,
    may_load: MayLoad = None,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print ceiling.json on stdout; all else goes to stderr.")
    ] = False,
) -> None:
    """Look for the highest rate that the system sustains, by trials of CONFIG, each a run of its own.

    Exit codes: 0 found, and every objective on it is met, 1 one isn't, or no rate is good, 2 the config is wrong, 3 a
    target can't be reached or something isn't undone, 4 it can't be told, 130 interrupted.
    """
    from .commands import ceiling as searching
    from .run.unfinished import state_directory

    told = _err() if as_json else _out()
    console = _console(told)
    live = not quiet and console.is_interactive and console.file.isatty() and not os.environ.get("CI")
    with _in_background():
        code = searching.run(
            config, scenario=scenario, first=first, last=last, trial=trial, precision=precision, out=out,
            resume=resume, sets=sets or (), profiles=profiles or (), may_load=may_load or (), environ=os.environ,
            listed=state_directory(os.environ), console=console, quiet=quiet, live=live,
            document=_to_stdout if as_json else None, clogged=lambda: told.clogged, signals=_own_signals,
        )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def compare(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE",
            help="A run, a directory of runs, a file of --save, or several by commas.",
            show_default=False,
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same; runs of one config.", show_default=False)],
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--max-regression",
            metavar="FIGURE=TOLERANCE",
            help="How much worse it may be, e.g. p99=10%, lost=0.1%, p50=off; repeatable. "
            "Default: p50=20%, p99=50%, throughput=20%.",
        ),
    ] = None,
    weekly: Annotated[
        list[str] | None,
        typer.Option(
            "--week-over-week",
            metavar="FIGURE=TOLERANCE",
            help="How much worse the last seven days may be than the seven before; repeatable.",
        ),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="FIGURE=VALUE",
            help="What NEW may not be worse than, whatever BASE is, e.g. errors=0.5%, p99=2s; repeatable.",
        ),
    ] = None,
    warn_above: Annotated[
        str | None,
        typer.Option("--warn-above", metavar="SHARE", help="Warn above this share of a limit, or off. Default: 90%."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="Default: consistency, else end_to_end, else publish."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="NAME", help="One scenario instead of the whole run.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option("--within", metavar="DURATION", help="Of BASE only what began so long before NEW, e.g. 7d."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Keep NEW's figures there, unless they are a regression."),
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="text, json or md.")] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 4 where a gated figure can't be told.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Compare runs with different profiles, too.")] = False,
) -> None:
    """Compare runs: what differs, and how sure that is.

    Exit codes: 0 no regression, 1 a regression or a limit that is exceeded, 2 bad arguments, 3 the file of figures
    can't be written, 4 it can't be told (with --strict).
    """
    from .commands import compare as comparison

    raise typer.Exit(
        comparison.run(
            base, new, write=_to_stdout, console=_console(), rules=rules or (), weekly=weekly or (),
            limits=limits or (), warn_above=warn_above, metric=metric, scenario=scenario, within=within, save=save,
            form=form, strict=strict, force=force,
        )
    )  # fmt: skip


def _starts() -> list[str]:
    """For a shell that completes `--from`."""
    from .commands.init import names

    return names()


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("evload.yaml"),
    name: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="What to start from, e.g. http; all: --list.", autocompletion=_starts
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show all there is to start from, and exit.")] = False,
) -> None:
    """Write a config to start from. It overwrites nothing.

    Beside it lies its JSON Schema, by which editors know its keys. Without --from it asks on a terminal, and takes
    the embedded pipeline elsewhere.
    """
    from .commands import init as beginning

    if listed:
        beginning.show(_console())
        return
    if name is None and sys.stdin is not None and sys.stdin.isatty() and _out().isatty():
        name = beginning.chosen(_console(), sys.stdin.readline)
    name = beginning.FIRST if name is None else name
    beginning.write(path, name, say=typer.echo, warn=partial(typer.echo, err=True))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    import orjson

    from .config.schema import json_schema

    schema = json_schema(lambda text: typer.echo(text, err=True))
    _to_stdout(orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def main() -> None:
    """Entry point of the console script."""
    out, _ = take_over()
    _heed_signals()
    try:
        _of_verb(sys.argv[1:2])()
    except EvloadError as error:
        if isinstance(error, NotUndoneError) and error.during is not None:
            _tell_bug(error.during)
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit:
        complain(out)
        raise
    except Exception as error:
        _tell_bug(error)
        sys.exit(BUG)


def _of_verb(named: Sequence[str]) -> typer.Typer:
    """All that there is on the command line, without the other verbs where it begins with one."""
    only = [one for one in app.registered_commands if (one.name or (one.callback and one.callback.__name__)) in named]
    if not only:
        return app
    lean = copy(app)
    lean.registered_commands = only
    return lean


def _tell_bug(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error)
    print("this is a bug in evload; please report it with the lines above", file=sys.stderr)


def _heed_signals() -> None:
    """What doesn't itself heed signals (loading, set-up, and the short verbs) ends with exit code 130.

    A terminal that closes counts as well, unless we were told to ignore that, as `nohup` does.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupted)


def _interrupted(*_: object) -> None:
    print("interrupted", file=sys.stderr)
    raise KeyboardInterrupt


def _load(
    path: Path,
    sets: list[str] | None,
    scenarios: list[str] | None = None,
    profiles: list[str] | None = None,
    may_load: list[str] | None = None,
) -> LoadedConfig:
    from .config.guard import held
    from .config.load import load
    from .config.part import part_of

    loaded = load(path, sets=sets or (), profiles=profiles or (), environ=os.environ)
    return held(part_of(loaded, scenarios or ()), os.environ, may_load or ())


class _Shown(NamedTuple):
    """How runs are shown, and what is done beside them. With `in_a_set` standard output isn't for one of them."""

    quiet: bool = False
    as_json: bool = False
    ui_port: int | None = None
    verbose: bool = False
    keep: bool = False
    in_a_set: bool = False


def _run(loaded: LoadedConfig, out: Path | None, how: _Shown) -> NoReturn:
    with _in_background():
        ended = _run_once(loaded, out, how)
    raise typer.Exit(ended.exit_code)


def _run_set(configs: Sequence[tuple[Path, LoadedConfig]], times: int, out: Path | None, how: _Shown) -> NoReturn:
    from .clock import SystemClock
    from .commands import repeat

    clock = SystemClock()
    with closing(clock):
        directory = repeat.directory_of(out, clock.wall(clock.now_ns()))
    console = _console(_err() if how.as_json else _out())

    def say(text: str) -> None:
        if not how.quiet:
            console.print(printable(text), soft_wrap=True)

    with _in_background():
        code = repeat.run(
            configs, times, directory, say=say,
            one=lambda loaded, place: _run_once(loaded, place, how._replace(in_a_set=True)),
            document=_to_stdout if how.as_json else None,
        )  # fmt: skip
    raise typer.Exit(code)


def _run_once(loaded: LoadedConfig, out: Path | None, how: _Shown) -> Ended:
    from .commands.run import live_page
    from .run import session
    from .run.unfinished import refuse_beside, state_directory
    from .sinks.console.sink import ConsoleSink
    from .sinks.github import from_environment
    from .sinks.json import JsonSink

    listed = state_directory(os.environ)
    refuse_beside(Path("runs") if out is None else out.absolute().parent, listed)
    # With --json standard output is for one document alone.
    told = _err() if how.as_json else _out()
    console = _console(told)
    shown = ConsoleSink(console, quiet=how.quiet, clogged=lambda: told.clogged)
    sinks: list[Any] = [shown]
    if how.as_json and not how.in_a_set:
        sinks.append(JsonSink(_out().write_bytes))
    github = from_environment(os.environ, told.write_bytes)
    if github is not None:
        sinks.append(github)

    def say(text: str) -> None:
        # An address that is broken over two lines can't be opened.
        console.print(printable(text), soft_wrap=True)

    page = None if how.ui_port is None else live_page(loaded, how.ui_port, say)
    with _own_signals(), closing(shown):
        ended = session.run(
            loaded, out=out, sinks=sinks, say=say, page=page, verbose=how.verbose, listed=listed, keep=how.keep
        )
    # The verdict was said before any page was made.
    for file in () if how.quiet else ended.pages:
        say(f"report in {file}")
    return ended


@contextmanager
def _in_background() -> Iterator[None]:
    """Inside the block nobody waits for whoever reads the output."""
    with ExitStack() as stack:
        for stream in (_out(), _err()):
            stack.enter_context(stream.in_background())
        yield


@contextmanager
def _own_signals() -> Iterator[None]:
    """The loop of a run takes the signals for itself inside the block, and leaves them without anybody."""
    try:
        yield
    finally:
        _heed_signals()


def _console(stream: Stream | None = None) -> PlainConsole:
    from .terminal.console import console_on

    return console_on(stream or _out())


def _out() -> Stream:
    return cast(Stream, sys.stdout)


def _err() -> Stream:
    return cast(Stream, sys.stderr)


def _to_stdout(content: bytes) -> None:
    """A document, which is all that a verb is for. Raises OutputError if it can't be had whole."""
    out = _out()
    out.write_bytes(content)
    if out.trouble is not None and not nobody_reads(out.trouble):
        raise OutputError(f"can't write to standard output: {out.trouble.strerror}; free some space")


def _say_where(url: str) -> None:
    typer.echo(f"listening on {url} (Ctrl-C ends it)")
    typer.echo(f"  publish  POST {url}/events          a CloudEvent with the extension correlationid")
    typer.echo(f'  read     GET  {url}/items/ID        POST {url}/items/query  {{"ids": [...]}}')
    typer.echo(f'  watch    GET  {url}/queue           POST {url}/admin        {{"service": "500ms"}}')
