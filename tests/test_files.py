"""Files: read within a limit, and written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from evload import files


def strerror_of(action: Callable[[], object]) -> str:
    with pytest.raises(OSError) as failed:
        action()
    return str(failed.value.strerror)


# -- reading -----------------------------------------------------------------------------------------


def test_as_much_as_the_limit_is_read_and_a_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 2000)
    assert files.read(path, 2000) == b"x" * 2000
    path.write_bytes(b"x" * 2001)
    assert strerror_of(lambda: files.read(path, 2000)) == "it is longer than 2 KB, the most that is read"


def test_a_file_without_an_end_ends_at_the_limit() -> None:
    said = strerror_of(lambda: files.read(Path("/dev/zero"), 5_000_000, regular=False))
    assert said == "it is longer than 5 MB, the most that is read"
    assert strerror_of(lambda: files.read(Path("/dev/zero"), 5_000_000)) == "it is no regular file"


def test_a_pipe_is_read_where_it_may_be_one_and_holds_nobody_up_where_not(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert strerror_of(lambda: files.read(pipe, 10)) == "it is no regular file"
    writing = threading.Thread(target=lambda: pipe.write_bytes(b"text"))
    writing.start()
    assert files.read(pipe, 10, regular=False) == b"text"
    writing.join()


def test_a_link_is_followed_only_where_it_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to("a")
    assert files.read(tmp_path / "b", 10) == b"text"
    assert strerror_of(lambda: files.read(tmp_path / "b", 10, links=False)) == "it is a link"
    assert files.read(tmp_path / "a", 10, links=False) == b"text"


def test_what_can_not_be_read_says_why(tmp_path: Path) -> None:
    assert strerror_of(lambda: files.read(tmp_path, 10)) == "Is a directory"
    assert strerror_of(lambda: files.read(tmp_path / "a", 10)) == "No such file or directory"
    (tmp_path / "round").symlink_to("round")
    assert strerror_of(lambda: files.read(tmp_path / "round", 10)) == "Too many levels of symbolic links"


# -- writing -----------------------------------------------------------------------------------------

WRITERS: Final = (files.write_new, files.replace)


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_is_there_with_all_it_holds_and_nothing_beside_it(write: Any, tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        write(tmp_path / "a", b"text" * 100_000)
        write(tmp_path / "b", b"", files.PRIVATE)
        write(tmp_path / ("n" * 255), b"long name")
    finally:
        os.umask(previous)
    assert (tmp_path / "a").read_bytes() == b"text" * 100_000
    modes = {path.name[:3]: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a": 0o644, "b": 0o600, "nnn": 0o644}


@pytest.mark.parametrize("links", [True, False], ids=["with links", "a file system without hard links"])
@pytest.mark.parametrize("there", ["file", "link", "link to nowhere"])
def test_a_new_file_takes_the_place_of_nothing(
    there: str, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr("os.link", _no_links)
    (tmp_path / "precious").write_text("precious")
    place = tmp_path / "place"
    if there == "file":
        place.write_text("before")
    else:
        place.symlink_to("precious" if there == "link" else "nowhere")
    before = os.lstat(place)
    with pytest.raises(FileExistsError):
        files.write_new(place, b"now")
    assert os.lstat(place) == before
    assert (tmp_path / "precious").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["place", "precious"]


def _no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_system_without_hard_links_gets_new_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.link", _no_links)
    files.write_new(tmp_path / "a", b"text")
    assert (tmp_path / "a").read_bytes() == b"text"
    assert os.listdir(tmp_path) == ["a"]


def test_another_reason_against_a_link_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.link", full)
    assert strerror_of(lambda: files.write_new(tmp_path / "a", b"text")) == "full"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("write", WRITERS)
def test_a_disk_that_says_only_at_the_end_that_it_is_full(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "quota")

    monkeypatch.setattr("os.fsync", full)
    assert strerror_of(lambda: write(tmp_path / "a", b"text")) == "quota"
    assert os.listdir(tmp_path) == []


def test_a_disk_that_can_not_sync_is_written_to_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr("os.fsync", cannot)
    files.write_new(tmp_path / "a", b"text")
    assert (tmp_path / "a").read_bytes() == b"text"


@pytest.mark.parametrize("write", WRITERS)
def test_what_does_not_fit_is_not_there_and_what_was_there_stays(write: Any, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from evload import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        f"try: files.{write.__name__}(Path(sys.argv[1]), b'x' * 10_001)\n"
        "except OSError as error: print(error.strerror)\n"
        f"files.{write.__name__}(Path(sys.argv[2]), b'x' * 10_000)\n"
    )
    if write is files.replace:
        (tmp_path / "a").write_text("before")
    before = os.listdir(tmp_path)
    arguments = [sys.executable, "-c", program, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("File too large\n", "")
    assert sorted(os.listdir(tmp_path)) == [*before, "b"]
    assert (tmp_path / "b").stat().st_size == 10_000
    if before:
        assert (tmp_path / "a").read_text() == "before"


def test_to_replace_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "a").symlink_to("precious")
    files.replace(tmp_path / "a", b"now")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "a").read_text() == "now"


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reading = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reading.start()
    files.replace(pipe, b"text")
    reading.join()
    assert heard == [b"text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]
