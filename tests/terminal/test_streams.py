"""Standard output by its bytes: whatever the descriptor or the encoding does, printing goes on."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from rich.table import Table
from rich.text import Text

from evload.terminal.console import PlainConsole, console_on
from evload.terminal.streams import Stream, nobody_reads


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """The end to read from and the one to write to."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            with suppress(OSError):  # closed already
                os.close(end)


def printed(*given: str, encoding: str = "utf-8", styled: bool = False) -> bytes:
    """What comes out of a stream of this encoding."""
    with pipe() as (reader, writer):
        stream = Stream(writer, encoding)
        for text in given:
            (stream.styled if styled else stream).write(text)
        os.close(writer)
        return b"".join(iter(lambda: os.read(reader, 4096), b""))


def test_text_is_printed_as_it_is() -> None:
    assert printed("ä … 🎉\nb") == "ä … 🎉\nb".encode()


def test_nothing_is_obeyed_but_what_we_mean() -> None:
    assert printed("a\x1b[31m\rb\n::error::c\n") == b"a [31m b\n: :error::c\n"
    assert printed("\x1b[1ma\x1b[0m\r\n::error::c\n", styled=True) == b"\x1b[1ma\x1b[0m\r\n: :error::c\n"


def test_what_begins_a_line_is_known_from_one_text_to_the_next() -> None:
    assert printed("at ", "::error::c", "\n", " ", "::error::d\n") == b"at ::error::c\n : :error::d\n"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("latin-1", b"ms \xb5s 1 ... 2, >= \xe4, \\u0448 _#"),
        ("ascii", b"ms us 1 ... 2, >= \\xe4, \\u0448 _#"),
        ("no-such-thing", b"ms us 1 ... 2, >= \\xe4, \\u0448 _#"),
    ],
)
def test_an_encoding_without_our_characters(encoding: str, shown: bytes) -> None:
    assert printed("ms µs 1 … 2, ≥ ä, ш ▁█", encoding=encoding) == shown


@pytest.mark.parametrize(("target", "number"), [("/dev/full", errno.ENOSPC), ("", errno.EPIPE)])
def test_what_cannot_be_written_is_noted_and_left_out(target: str, number: int) -> None:
    with pipe() as (reader, writer):
        os.close(reader)
        if target:
            full = os.open(target, os.O_WRONLY)
            os.dup2(full, writer)
            os.close(full)
        stream = Stream(writer, "utf-8")
        print("a", file=stream)
        print("b", file=stream, flush=True)
        stream.write_bytes(b"c")
        assert stream.trouble is not None
        assert stream.trouble.errno == number
        assert nobody_reads(stream.trouble) == (number == errno.EPIPE)


def test_one_that_does_not_block_gets_it_all() -> None:
    """As where a parent process has made the pipe so."""
    content = b"x" * 300_000
    with pipe() as (reader, writer):
        os.set_blocking(writer, False)
        stream = Stream(writer, "utf-8")
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(iter(lambda: os.read(reader, 4096), b"")))
        thread.start()
        stream.write_bytes(content)
        os.close(writer)
        thread.join()
    assert b"".join(got) == content
    assert stream.trouble is None


def test_in_the_background_nobody_waits_for_a_reader_and_nothing_is_lost() -> None:
    with pipe() as (reader, writer):
        stream = Stream(writer, "utf-8")
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(iter(lambda: os.read(reader, 4096), b"")))
        with stream.in_background():
            clogged = [stream.clogged]
            for number in range(20_000):
                print(f"line {number:6}", file=stream)  # far more than a pipe holds, and nobody reads
            clogged.append(stream.clogged)
            thread.start()
        assert [*clogged, stream.clogged] == [False, True, False]
        print("after", file=stream)
        os.close(writer)
        thread.join()
    lines = b"".join(got).decode().splitlines()
    assert lines == [*(f"line {number:6}" for number in range(20_000)), "after"]


def test_whoever_has_enough_of_waiting_for_a_reader_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (reader, writer):
        stream = Stream(writer, "utf-8")

        def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "join", interrupted)
            with pytest.raises(KeyboardInterrupt), stream.in_background():
                stream.write_bytes(b"x" * 1_000_000)
        stream.write_bytes(b"x" * 1_000_000)  # would wait for ever
        os.close(reader)


def on_a_console(*renderables: object, environ: dict[str, str] | None = None) -> str:
    """What a console prints into a pipe."""
    with pipe() as (reader, writer):
        console = PlainConsole(Stream(writer, "utf-8").styled, environ=environ or {})
        for renderable in renderables:
            console.print(renderable)
        os.close(writer)
        return b"".join(iter(lambda: os.read(reader, 65536), b"")).decode()


def test_a_console_takes_nothing_for_markup() -> None:
    table = Table("what", box=None)
    table.add_row("[red]a[/red] :smile:")
    shown = on_a_console("500 [/hook] [bold]here[/bold] :smile:", table, Text("[/x]"))
    assert [line.strip() for line in shown.splitlines()] == [
        "500 [/hook] [bold]here[/bold] :smile:", "what", "[red]a[/red] :smile:", "[/x]"
    ]  # fmt: skip


def test_a_console_shows_styles_of_ours_and_no_sequences_of_others() -> None:
    shown = on_a_console(
        Text.assemble(("a\x1b[8mb\u202e", "bold"), "\n::error::c"), environ={"FORCE_COLOR": "1", "TERM": "xterm"}
    )
    assert shown == "\x1b[1ma [8mb \x1b[0m\n: :error::c\n"


@pytest.mark.parametrize(
    ("environ", "width", "height"),
    [
        ({"COLUMNS": "100", "LINES": "7"}, 100, 7),
        ({"COLUMNS": "0", "LINES": "0"}, 80, 25),
        ({"COLUMNS": "²", "LINES": "-1"}, 80, 25),
        ({"COLUMNS": "9" * 5000}, 80, 25),
        ({"COLUMNS": "1"}, 20, 25),
    ],
)
def test_a_console_has_a_size_whatever_the_environment_says(
    environ: dict[str, str], width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_terminal(descriptor: int) -> os.terminal_size:
        raise OSError(errno.ENOTTY, "no terminal")

    monkeypatch.setattr(os, "get_terminal_size", no_terminal)
    with pipe() as (_, writer):
        stream = Stream(writer, "utf-8")
        console = PlainConsole(stream.styled, environ=environ)
        assert (console.width, console.height) == (width, height)
        assert console_on(stream).file.fileno() == writer
