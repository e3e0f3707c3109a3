"""What `pip install evload` brings: who it is from, all that it needs and no more, and what leads to a verdict.

The wheel is built once and installed once, into an environment that holds exactly what it asks for: the packages are
those of this environment, linked. `make long` lets pip install it, with each Python that is here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from email.message import Message
from email.parser import Parser
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from evload.commands.init import names
from tests.house.test_imports import PLUGIN, everything, imports_of, sdk_of
from tests.rigs.commands import summary_of

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[Mapping[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FIRST_STEPS: Final = (ROOT / "docs" / "first-steps.md").read_text()
CONSTRAINTS: Final = ROOT / "constraints.txt"
PYTHONS: Final = ("3.11", "3.12", "3.13")
APACHE_2: Final = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the licence's text as its authors publish it."""
COMES_WITH: Final = {
    "aiobotocore": "aioboto3",
    "boto3": "aioboto3",
    "botocore": "aioboto3",
    "protobuf": "googleapis-common-protos",
    "pydantic-core": "pydantic",
    "pymysql": "aiomysql",
}
"""Packages that are imported, and the one that brings the single version that goes with it."""
LENIENT: Final = "--set=self_checks={offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}"
"""A busy machine must not decide a test."""


def required(extras: tuple[str, ...] = ()) -> dict[str, Requirement]:
    """What is asked for directly, by its name: alone, or by these extras too."""
    of_extras = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in of_extras[extra])]
    return {canonicalize_name(found.name): found for found in map(Requirement, texts)}


def brought() -> dict[str, Distribution]:
    """All packages that `pip install evload` brings here, evload left out."""
    found: dict[str, Distribution] = {}
    waiting = [(found.name, found.extras) for found in required().values()]
    while waiting:
        name, extras = waiting.pop()
        if canonicalize_name(name) in found:
            continue
        package = found[canonicalize_name(name)] = distribution(name)
        waiting += [
            (wanted.name, wanted.extras)
            for wanted in map(Requirement, package.requires or ())
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        ]
    return found


def bytes_of(package: Distribution) -> int:
    """What it takes on the disk, compiled as pip leaves it."""
    places = [package.locate_file(file) for file in package.files or ()]
    return sum(os.stat(str(place)).st_size for place in places if os.path.exists(str(place)))


# --- what the project says of itself ----------------------------------------------------------------------


def test_each_package_that_it_needs_is_used_and_each_that_is_used_is_asked_for() -> None:
    extras = tuple(name for name in PROJECT["optional-dependencies"] if name not in ("all", "dev"))
    asked_for = required(extras).keys()
    of_module = packages_distributions()
    used: set[str] = set()
    for path in everything():
        for found in imports_of(path):
            module = sdk_of(found)
            if module is not None and path != PLUGIN:
                packages: set[str] = {canonicalize_name(name) for name in of_module[module]}
                asked = packages & asked_for or {COMES_WITH.get(name, name) for name in packages}
                assert asked & asked_for, f"{found.where} imports {module}, which nothing asks for"
                used |= asked
    assert asked_for - used == set()


def test_all_is_all_of_the_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything_else,) = map(Requirement, extras["all"])
    assert everything_else.name == "evload"
    assert everything_else.extras == extras.keys() - {"all", "dev"}


def test_every_extra_that_somebody_is_told_to_install_exists() -> None:
    told: set[str] = set()
    for path in [*everything(), ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("src/**/*.yaml")]:
        for names_of_extras in re.findall(r"evload\[([a-z,]+)\]", path.read_text()):
            told |= set(names_of_extras.split(","))
    assert {"rabbitmq", "all"} <= told
    assert told <= PROJECT["optional-dependencies"].keys()


def test_the_workflow_tries_each_python_that_the_project_names() -> None:
    classifiers = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if ":: Python :: 3." in text]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    for job in ("test", "wheel"):
        assert tuple(workflow["jobs"][job]["strategy"]["matrix"]["python"]) == PYTHONS, job
    assert tuple(classifiers) == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


# --- the wheel --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as it is published: from the archive of the sources."""
    directory = tmp_path_factory.mktemp("dist")
    with tarfile.open(built("sdist", ROOT, directory)) as sources:
        sources.extractall(directory, filter="data")
    (root,) = (path for path in directory.iterdir() if path.is_dir())
    return built("wheel", root, directory)


def built(target: str, root: Path, directory: Path) -> Path:
    """What hatchling makes of a tree."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(directory)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = directory.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return found


@pytest.fixture(scope="module")
def about(wheel: Path) -> Message:
    """What the wheel says of itself."""
    with zipfile.ZipFile(wheel) as content:
        (place,) = [name for name in content.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(content.read(place).decode())


def test_the_wheel_says_who_it_is_from_and_on_what_terms(about: Message, wheel: Path) -> None:
    assert (about["Author"], about["License-Expression"]) == ("the evload authors", "Apache-2.0")
    urls = dict(text.split(", ") for text in about.get_all("Project-URL", []))
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= urls.keys()
    assert all(url.startswith("https://") for url in urls.values())
    with zipfile.ZipFile(wheel) as content:
        (licence,) = [name for name in content.namelist() if name.endswith("/LICENSE")]
        assert hashlib.sha256(content.read(licence)).hexdigest() == APACHE_2


def test_the_wheel_holds_every_config_to_start_from_and_nothing_but_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        files = set(content.namelist())
    held = {name.removeprefix("evload/starters/") for name in files if name.startswith("evload/starters/")}
    data = {f"examples/{path.name}" for path in (ROOT / "configs").glob("*.csv")}
    assert held == {f"{name}.yaml" for name in names()} | data
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == {
        name.removeprefix("examples/") for name in names() if "/" in name
    }
    assert {name.split("/")[0].partition("-")[0] for name in files} == {"evload"}
    kinds = {Path(name).suffix for name in files if name.startswith("evload/")}
    assert kinds == {".py", ".typed", ".css", ".js", ".j2", ".yaml", ".csv"}


def test_pytest_has_the_plugin_where_it_is_asked_for(wheel: Path, tmp_path: Path) -> None:
    """With nothing but the wheel. Others need no pytest: it isn't among what the environment below has.

    As an entry point pytest would load it in every session, and parse all modules of evload for their asserts.
    """
    with zipfile.ZipFile(wheel) as content:
        assert "evload/py.typed" in content.namelist()
        content.extractall(tmp_path / "site")
    (tmp_path / "test_it.py").write_text("def test_it(evload): assert evload.measurements == []")
    asked = "-pevload.api.pytest_plugin"
    for option, code, words in ((asked, 0, "1 passed"), ("-q", 1, "fixture 'evload' not found")):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", option, "test_it.py"], cwd=tmp_path,
            env={**environment(), "PYTHONPATH": "site"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, words in done.stdout) == (code, True), done.stdout + done.stderr


def environment() -> dict[str, str]:
    """The environment of somebody who has only that: nothing leads to the sources."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COLUMNS", "FORCE_COLOR")}


def told(command: list[str | Path], cwd: Path) -> str:
    """What a command says that ends well."""
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are of an environment with evload and what it asks for, and nothing else."""
    directory = tmp_path_factory.mktemp("installed")
    venv.create(directory, with_pip=False)
    python = directory / "bin" / "python"
    install: list[str | Path] = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    told([sys.executable, "-m", "pip", "--python", python, *install], ROOT)
    (site,) = directory.glob("lib/python3*/site-packages")
    for package in brought().values():
        for part in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__", "bin"}:
            if not (site / part).exists():
                (site / part).symlink_to(str(package.locate_file(part)))
    return python.parent


def assert_a_verdict(binaries: Path, directory: Path) -> None:
    """Two commands lead from an empty directory to it."""
    evload = binaries / "evload"
    assert "evload run evload.yaml" in told([evload, "init", "--from", "sandbox"], directory)
    said = told([evload, "run", "evload.yaml", "--out", "out", LENIENT], directory)
    assert re.search("^(PASS|WARN)  first-run: ", said, re.MULTILINE)
    ledger = summary_of(directory / "out")["ledger"]
    assert (ledger["scheduled"], ledger["visible"], ledger["lost"]) == (200, 200, 0)
    assert (directory / "out" / "report.html").stat().st_size > 100_000


def test_from_nothing_to_a_verdict(binaries: Path, tmp_path: Path) -> None:
    assert_a_verdict(binaries, tmp_path)


def test_python_m_evload_is_evload(binaries: Path, tmp_path: Path) -> None:
    for command in (["evload"], ["python", "-m", "evload"]):
        said = told([binaries / command[0], *command[1:], "--version"], tmp_path)
        assert said == f"evload {PROJECT['version']}\n"


def test_without_the_extras_configs_are_good_and_a_run_says_what_to_install(binaries: Path, tmp_path: Path) -> None:
    told([binaries / "evload", "init", "--from", "rabbitmq"], tmp_path)
    told([binaries / "evload", "validate", "evload.yaml"], tmp_path)
    done = subprocess.run(
        [binaries / "evload", "run", "evload.yaml"], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "kind rabbitmq needs aiormq; pip install 'evload[rabbitmq]'\n")


def said_megabytes() -> float:
    (figure,) = re.findall(r"takes (\d+) MB on the disk", FIRST_STEPS)
    return float(figure)


def test_it_takes_as_much_room_as_the_docs_say(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        own = sum(file.file_size for file in content.infolist())
    sizes = {name: bytes_of(package) for name, package in brought().items()}
    assert (own + sum(sizes.values())) / 1e6 == pytest.approx(said_megabytes(), rel=0.1), sizes
    assert own < 4.4e6
    assert f"with the {len(sizes)} packages that it needs" in FIRST_STEPS


# --- with pip, and each Python that is here -----------------------------------------------------------------


def interpreter(version: str) -> str | None:
    """A Python of this machine; those of pyenv too, which aren't on the path."""
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


@pytest.mark.long
@pytest.mark.parametrize("version", PYTHONS)
def test_pip_installs_it_and_it_runs_from_nothing_to_a_verdict(version: str, wheel: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    told([python, "-m", "venv", "fresh"], tmp_path)
    fresh = tmp_path / "fresh" / "bin"
    told([fresh / "python", "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, wheel], tmp_path)
    listed = told([fresh / "python", "-m", "pip", "list", "--format", "freeze"], tmp_path).split()
    packages = {canonicalize_name(line.partition("==")[0]) for line in listed}
    assert packages == {*brought(), "evload"} | (packages & {"pip", "setuptools"})
    (site,) = (tmp_path / "fresh").glob("lib/python3*/site-packages")
    own = [file for file in site.rglob("*") if not file.relative_to(site).parts[0].startswith("pip")]
    taken = sum(file.stat().st_size for file in own if file.is_file())
    assert taken / 1e6 == pytest.approx(said_megabytes(), rel=0.1)
    assert_a_verdict(fresh, tmp_path)
