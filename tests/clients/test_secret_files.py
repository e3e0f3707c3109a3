"""Secrets in files: each way in which somebody puts another value there, in the middle of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evload.errors import TargetError
from tests.rigs.token_system import TokenSystem, config, run

FILE = "{file: secrets/token}"
OLD, NEW = "old-value-8710", "new-value-8711"


def plain(path: Path) -> None:
    path.write_text(NEW)


def renamed(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_text(NEW + "\n")
    os.replace(beside, path)


def swapped(path: Path) -> None:
    """As Kubernetes does it: the name is a link into a directory that is itself a link."""
    (path.parent / "..second").mkdir()
    (path.parent / "..second" / "token").write_text(NEW)
    os.symlink("..second", path.parent / "..data_tmp")
    os.replace(path.parent / "..data_tmp", path.parent / "..data")


def in_steps(*steps: tuple[float, Callable[[Path], object]]) -> Callable[[Path], Callable[[float], None]]:
    """At each of these seconds one thing is done with the file."""

    def of(path: Path) -> Callable[[float], None]:
        left = list(steps)

        def at(now: float) -> None:
            while left and now >= left[0][0]:
                left.pop(0)[1](path)

        return at

    return of


class Doors(TokenSystem):
    """Takes what is the value of the moment, and notes which value it was shown."""

    def __init__(self, *, new_from: float) -> None:
        super().__init__()
        self.new_from = new_from
        self.shown: list[tuple[float, str]] = []

    def _is_good(self, token: str, now: float) -> bool:
        self.shown.append((now, token))
        return token == (NEW if now >= self.new_from else OLD)

    def first(self, token: str) -> float:
        """When it was first shown."""
        return next(now for now, shown in self.shown if shown == token)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """As Kubernetes mounts a secret."""
    directory = tmp_path / "secrets"
    (directory / "..first").mkdir(parents=True)
    (directory / "..first" / "token").write_text(OLD + "\n")
    os.symlink("..first", directory / "..data")
    os.symlink("..data/token", directory / "token")
    return directory / "token"


@pytest.mark.parametrize("change", [plain, renamed, swapped])
def test_a_file_that_changes_is_read_again(tmp_path: Path, file: Path, change: Callable[[Path], None]) -> None:
    """Ahead of any refusal, within 2 s and a half; here the old value stays good, and the new one is at once."""
    system = Doors(new_from=0)
    system._is_good = lambda token, now: system.shown.append((now, token)) or token in (OLD, NEW)  # type: ignore
    ran = run(system, config(FILE, "{rate: 5/s, for: 20s}"), base_dir=tmp_path, at=in_steps((9.85, change))(file))
    assert (ran.counts["visible"], system.refused, ran.incidents) == (100, [], [])
    assert 9.8 < system.first(NEW) < 12.5
    assert all(token == NEW for now, token in system.shown if now > 12.5)


def test_one_that_is_refused_is_read_at_once(tmp_path: Path, file: Path) -> None:
    system = Doors(new_from=9.95)
    ran = run(system, config(FILE, "{rate: 5/s, for: 20s}"), base_dir=tmp_path, at=in_steps((9.85, swapped))(file))
    assert ran.counts["visible"] == 100
    assert system.first(NEW) < 10.2
    assert ran.incidents == ["shop: accepted after HTTP 401, once"]


@pytest.mark.parametrize(
    "steps",
    [
        ((5.0, os.unlink), (6.5, plain)),
        ((5.0, lambda path: path.write_text("")), (6.5, plain)),
        ((5.0, lambda path: path.write_text("")), (5.9, lambda path: path.write_text(NEW[:5])), (6.3, plain)),
        ((5.0, lambda path: path.write_text("two\nlines")), (6.5, plain)),
        ((5.0, lambda path: path.write_bytes(b"\xff\xfe")), (6.5, plain)),
    ],
    ids=["vanished", "empty", "half", "lines", "binary"],
)
def test_what_is_no_value_for_a_moment_is_passed_over(
    tmp_path: Path, file: Path, steps: tuple[tuple[float, Callable[[Path], object]], ...]
) -> None:
    system = Doors(new_from=0)
    system._is_good = lambda token, now: system.shown.append((now, token)) or token in (OLD, NEW)  # type: ignore
    ran = run(system, config(FILE, "{rate: 5/s, for: 20s}"), base_dir=tmp_path, at=in_steps(*steps)(file))
    assert (ran.counts["visible"], ran.incidents) == (100, [])
    assert {token for _, token in system.shown} == {OLD, NEW}
    assert system.first(NEW) < 9.5


def test_one_that_stays_away_is_told_of_once_and_the_old_value_stays(tmp_path: Path, file: Path) -> None:
    system = Doors(new_from=99)
    ran = run(system, config(FILE, "{rate: 5/s, for: 20s}"), base_dir=tmp_path, at=in_steps((5, os.unlink))(file))
    assert ran.counts["visible"] == 100
    assert ran.incidents == [
        f"secret api: can't read {file}: no such file or directory; the value from before stays in use"
    ]


@pytest.mark.parametrize("written", [OLD, OLD + "\n", OLD + "\r\n", "\ufeff" + OLD])
def test_how_a_value_may_be_written(tmp_path: Path, file: Path, written: str) -> None:
    file.write_text(written, encoding="utf-8", newline="")
    assert run(Doors(new_from=99), config(FILE), base_dir=tmp_path).counts["visible"] == 20


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda path: path.unlink(),
            "can't read {}: no such file or directory; mount it or write it, or correct file",
        ),
        (lambda path: path.write_text("\n"), "{} is empty; look after whoever writes it"),
        (lambda path: path.write_text("a\nb"), "{} is text with a line break or a control character in it"),
        (lambda path: path.write_text("x" * 100_000), "{} is longer than 65536 characters"),
        (lambda path: path.write_text("x" * 300_000), "can't read {}: it is longer than"),
        (lambda path: path.write_bytes(b"\xff"), "{} isn't UTF-8; write text into it"),
        (lambda path: (path.unlink(), path.mkdir()), "can't read {}: is a directory"),
    ],
    ids=["missing", "empty", "lines", "long", "huge", "binary", "directory"],
)
def test_one_that_is_no_use_at_the_start_ends_the_run(
    tmp_path: Path, file: Path, spoil: Callable[[Path], object], told: str
) -> None:
    spoil(file)
    with pytest.raises(TargetError) as refused:
        run(Doors(new_from=99), config(FILE), base_dir=tmp_path)
    assert str(refused.value).startswith("secret api: " + told.format(file))


def test_no_value_of_a_file_is_shown(tmp_path: Path, file: Path) -> None:
    system = Doors(new_from=5)
    ran = run(system, config(FILE, "{rate: 5/s, for: 20s}"), base_dir=tmp_path, at=in_steps((15, plain))(file))
    assert ran.counts["rejected"] > 40
    assert "no entry with {secrets.api}" in repr(ran.observations)
    assert OLD not in repr(ran.observations) + repr(ran.summary)
    assert ran.loaded.redact(f"{OLD} {NEW}") == "{secrets.api} {secrets.api}"
