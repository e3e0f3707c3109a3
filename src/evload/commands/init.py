"""A config to start from, with the JSON Schema for editors beside it: `evload init`.

The schema lies beside the config and the config names it by a relative path, so that an editor finds it without a
network, on the machine of a colleague too, and knows exactly what is installed here, plug-ins of others included.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import files
from ..errors import EvloadError, OutputError, UsageError
from ..texts import near, printable

SCHEMA: Final = "evload.schema.json"
"""Name of the schema's file, as the first line of each start has it."""
FIRST: Final = "sandbox"
"""What to start from where nobody says so: it needs nothing but evload."""
_WHOLE: Final = "examples"
"""Folder of the configs of whole systems, and what stands before their names."""
_DATA: Final = (".csv", ".json", ".jsonl", ".ndjson")
"""How the names of files with records end."""
_YOURS: Final = "CHANGE"
"""Marks lines of a start that are about somebody's own system."""


@dataclass(frozen=True, slots=True)
class Start:
    """A config that comes with evload. `about` is the first sentence of its comment.

    data  name to content of the files from which its events take their records
    """

    name: str
    text: str
    data: Mapping[str, bytes]

    @property
    def about(self) -> str:
        paragraph: list[str] = []
        for line in self.text.splitlines()[1:]:
            words = line.removeprefix("#").strip()
            if not words and paragraph:
                break
            paragraph.append(words)
        return " ".join(paragraph).strip().partition(". ")[0].rstrip(".")

    @property
    def whole(self) -> bool:
        """Whether it is the config of a whole system, to read and to learn from."""
        return self.name.startswith(f"{_WHOLE}/")


def names() -> list[str]:
    """Of all starts: what is minimal first, the embedded pipeline before the others."""
    folder = _folder()
    minimal, whole = _stems(folder), _stems(folder / _WHOLE)
    minimal.sort(key=lambda name: (name != FIRST, name))
    return [*minimal, *(f"{_WHOLE}/{name}" for name in whole)]


def start(name: str) -> Start:
    """The one of that name. Raises UsageError."""
    known = names()
    name = name.removesuffix(".yaml")
    if name not in known:
        close, minimal = near(name, known), ", ".join(each for each in known if "/" not in each)
        cure = f"did you mean {close[0]}?" if close else f"choose one of {minimal}"
        raise UsageError(f"--from {printable(name)}: there is nothing of that name; {cure} (evload init --list)")
    text = (_folder() / f"{name}.yaml").read_text("utf-8")
    return Start(name, text, _data_of(name, text))


def show(console: Console) -> None:
    """All there is to start from."""
    found = [start(name) for name in names()]
    for title, whole in (("a minimal file", False), ("a whole system", True)):
        table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
        table.add_column("--from", no_wrap=True)
        table.add_column(title)
        for one in found:
            if one.whole == whole:
                table.add_row(Text(one.name), Text(one.about))
        console.print(table)
        if not whole:
            console.print()


def chosen(console: Console, read: Callable[[], str]) -> str:
    """The name that a person at a terminal types. Raises UsageError where nothing more comes."""
    minimal = [start(name) for name in names() if "/" not in name]
    width = max(len(one.name) for one in minimal)
    console.print("What does it start from?")
    for one in minimal:
        console.print(f"  {one.name:<{width}}  {one.about}", no_wrap=True, overflow="ellipsis")
    while True:
        console.print(f"Name [{FIRST}]: ", end="")
        line = read()
        if not line:
            raise UsageError("nothing was chosen; write for example evload init --from http")
        try:
            return start(line.strip() or FIRST).name
        except UsageError as error:
            console.print(str(error))


def write(path: Path, name: str, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Write that start with the files of its records, and the schema beside it if none is there.

    Nothing that is there is overwritten.

    Raises UsageError if there is a file of one of these names already, OutputError if one can't be written.
    """
    from ..config.schema import json_schema  # here: completion in a shell asks for the names alone

    if path.is_dir():
        raise UsageError(f"{path}: this is a directory; name a file in it, such as {path / 'evload.yaml'}")
    begun = start(name)
    shown = shlex.quote(str(path))
    _check_free(path, begun)
    text = begun.text.replace(f"configs/{begun.name.removeprefix(f'{_WHOLE}/')}.yaml", shown)
    try:
        files.write_new(path, text.encode())
    except OSError as error:
        raise _why_not(path, begun.name, error) from error
    for data, content in begun.data.items():
        try:
            files.write_new(path.with_name(data), content)
        except FileExistsError:
            pass  # the same, or somebody has written it meanwhile, and theirs stays
        except OSError as error:
            raise OutputError(f"can't write {path.with_name(data)}: {error.strerror}; free some space") from error
    schema = orjson.dumps(json_schema(warn), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    beside = _schema_beside(path, schema, warn)
    records = f", {' and '.join(begun.data)} with its records" if begun.data else ""
    say(f"wrote {path}{records}{beside}")
    if _YOURS in begun.text:
        say(f"Change the lines that say {_YOURS} to what your system has. Then:")
    else:
        say("Next:")
    for verb, about in (("try", "one event: what was sent and answered, and is it seen?"), ("run", "the verdict")):
        say(f"  evload {verb} {shown}    # {about}")


def _folder() -> Traversable:
    return resources("evload") / "starters"


def _data_of(name: str, text: str) -> Mapping[str, bytes]:
    """What lies beside a config and is named in it."""
    folder = _folder() / _WHOLE if name.startswith(f"{_WHOLE}/") else _folder()
    return {
        each.name: each.read_bytes()
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(_DATA) and f" {each.name}" in text
    }


def _check_free(path: Path, begun: Start) -> None:
    """Raises UsageError where another file is in the place of one with its records."""
    for name, content in begun.data.items():
        place = path.with_name(name)
        if place.exists() and not _holds(place, content):
            what = "there is a file of that name, and init overwrites nothing"
            raise UsageError(f"{place}: {what}; move it, or write into another directory")


def _stems(folder: Traversable) -> list[str]:
    found: Sequence[str] = [each.name for each in folder.iterdir()]
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def _schema_beside(path: Path, schema: bytes, warn: Callable[[str], None]) -> str:
    """Write the schema, and return the words about it."""
    place = path.with_name(SCHEMA)
    try:
        files.write_new(place, schema)
    except FileExistsError:
        if not _holds(place, schema):
            renew = f"evload schema > {shlex.quote(str(place))}"
            warn(f"note: {place} was there already and stays as it is; `{renew}` makes it new")
        return ""
    except OSError as error:
        warn(f"note: can't write {place}: {error.strerror}; your editor won't know the keys of {path}")
        return ""
    return f", and {place.name} beside it, by which your editor knows its keys"


def _holds(path: Path, content: bytes) -> bool:
    try:
        return files.read(path, len(content)) == content
    except OSError:
        return False


def _why_not(path: Path, name: str, error: OSError) -> EvloadError:
    if error.errno == errno.EEXIST:
        other = shlex.quote(str(path.with_name(f"my-{path.name}")))
        what = "there is a file of that name, and init overwrites nothing"
        return UsageError(f"{path}: {what}; write for example evload init {other} --from {name}")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UsageError(f"{path}: there is no directory {path.parent}; create it, or write elsewhere")
    return OutputError(f"can't write {path}: {error.strerror}; free some space, or write elsewhere")
