"""What all tests share: the fixtures of real servers and of the browser, and marks for those that use them."""

from __future__ import annotations

import gc
import shutil
import subprocess
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Final

import botocore.loaders
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, LoadScopeScheduling

BROWSER: Final = "tests.servers.browser"
SERVERS: Final = (
    "tests.servers.aws_server",
    "tests.servers.mysql_server",
    "tests.servers.placements_server",
    "tests.servers.postgres_server",
    "tests.servers.rabbitmq_node",
    "tests.servers.redis_server",
)
"""Modules with a fixture that starts a process. Tests start none in other ways, so that none lacks its mark."""
WHOLE_RUNS: Final = frozenset({"evload.testing.simulation", "tests.rigs.worlds"})
"""Modules with which tests have whole runs in virtual time, which take their time all the same."""
COMMANDS: Final = frozenset({
    "tests.rigs.commands", "tests.rigs.full_disk", "tests.rigs.functions_stand_in", "tests.rigs.hostile_activities",
    "tests.rigs.hostile_runs", "tests.rigs.searches_beside", "tests.rigs.small_system", "tests.rigs.tried_systems",
})  # fmt: skip
"""Modules with which tests start commands, which take their time whatever the machine can do."""
LONGEST: Final = (
    "run/test_functions.py", "stand_ins/test_placements_for_real.py", "run/test_terminals.py",
    "house/test_mutants.py", "producers/test_rabbitmq_faults.py", "house/test_packaging.py",
    "run/test_secrets_run.py", "run/test_eventbridge_run.py",
)  # fmt: skip
"""Files that take longer than all others, half a minute and more."""
SHARED: Final = {"rabbitmq: RabbitNode": 2, "aws: AwsServer": 2, "chromium: Chromium": 2}
"""What is started once in each process whose tests ask for it like that, and takes seconds of a core: in how many of
the processes, at most."""
pytest_plugins = (BROWSER, *SERVERS)

_LOADER: Final = cache(botocore.loaders.create_loader)

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time: a change isn't to be told of what it has nothing to do with. `make long` looks further.
settings.register_profile("seeded", settings.get_profile("any"), derandomize=True)
settings.load_profile("seeded")


def pytest_configure() -> None:
    """Nothing of what is collected is garbage."""
    gc.disable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark whatever uses a browser or a server, be it through other fixtures, what has whole runs, and properties.

    What is marked `long` is left out unless marks are asked for that name it.
    """
    if "long" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    modules = {item.module for item in items if isinstance(item, pytest.Function)}
    homes_in = {module: {getattr(value, "__module__", "") for value in vars(module).values()} for module in modules}
    simulating = {module for module, homes in homes_in.items() if not WHOLE_RUNS.isdisjoint(homes)}
    starting = {
        module
        for module, homes in homes_in.items()
        if not COMMANDS.isdisjoint(homes) or any(value is subprocess for value in vars(module).values())
    }
    for item in items:
        assert isinstance(item, pytest.Function)
        fixtures = chain.from_iterable(item._fixtureinfo.name2fixturedefs.values())
        homes = {fixture.func.__module__ for fixture in fixtures}
        if BROWSER in homes:
            item.add_marker(pytest.mark.browser)
        if not homes.isdisjoint(SERVERS):
            item.add_marker(pytest.mark.server)
        if is_hypothesis_test(item.obj):
            item.add_marker(pytest.mark.property)
        if item.module in simulating:
            item.add_marker(pytest.mark.simulation)
    _longest_first(items, starting)


def _longest_first(items: list[pytest.Item], starting: Collection[ModuleType]) -> None:
    """First the longest files, then all that wait for servers, browsers and commands, then whole runs, then the rest.

    Where there are several processes, what waits goes on beside what works, and in the end none has much left.
    """
    turns = {Path(__file__).parent / name: number - len(LONGEST) for number, name in enumerate(LONGEST)}
    for path in turns:
        assert path.is_file(), f"{path} isn't there; correct LONGEST in {__file__}"
    for item in items:
        assert isinstance(item, pytest.Function)
        if item.module in starting or item.get_closest_marker("server") or item.get_closest_marker("browser"):
            turn = 0
        else:
            turn = 1 if item.get_closest_marker("simulation") else 2
        turns[item.path] = min(turn, turns.get(item.path, turn))
    items.sort(key=lambda item: turns[item.path])


@cache
def _scopes() -> Mapping[str, str]:
    """Of files that ask for what is shared, by their places, which others are tested in the same process."""
    root, found, times = Path(__file__).parent.parent, dict[str, str](), Counter[str]()
    for path in sorted((root / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8")
        if (asked := next((one for one in SHARED if one in text), None)) is not None:
            found[path.relative_to(root).as_posix()] = f"{asked} {times[asked] % SHARED[asked]}"
            times[asked] += 1
    return found


class _Together(LoadFileScheduling):  # type: ignore[misc]
    """A file is tested in one process, and with it others that need the same server."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _scopes().get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Who deals the tests to several processes."""
    return _Together(config, log)


def pytest_collection_finish() -> None:
    """What was collected stays, thousands of tests: nobody is to look through it again and again for garbage."""
    gc.enable()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a run that a test has killed left undone keeps nobody else's runs from beginning."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials from the environment, nothing from this machine; the SDK reads its models once only."""
    from tests.servers.aws_server import ENVIRONMENT  # here: pytest wants to be the first to import a plug-in

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.session.create_loader", _LOADER)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("openssl is needed to make a certificate; apt-get install openssl")
    directory = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    both = directory / "both.pem"
    both.write_bytes((directory / "cert.pem").read_bytes() + (directory / "key.pem").read_bytes())
    return both
