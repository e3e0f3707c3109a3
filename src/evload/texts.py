"""Texts of others, made fit to be shown: without what a terminal or a CI server would obey. And what was meant.

A target, a file or a person may have written anything. Control characters (and with them escape sequences),
characters that turn the direction of writing or can't be seen, and ends of lines never stand in a text that is shown;
neither do the commands that CI servers read out of their logs.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import Final

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
"""Categories of characters that do something instead of being seen. Letters that this Python doesn't know yet, and
those that a font of somebody's own has, are none of them."""
_MARKER: Final = re.compile(r"##(?=\w*\[)")
"""How commands begin that stand anywhere in a line: `##[error]`, `##vso[...]`, `##teamcity[...]`."""
_STYLE: Final = r"(?:[^\S\n]|\x1b\[[0-9;]*m)*"
"""What may stand before a command at the start of a line: blanks, and the colours that we have put there."""
_COMMAND: Final = re.compile(rf"^({_STYLE}):(?=:[A-Za-z][^\n]*::)", re.MULTILINE)
"""How a command of GitHub's begins, at the start of a line: `::error title=...::message`."""
TELLING: Final = (
    r"secret|token|credentials?|signature|pwd|pass(?:phrase|w(?:or)?[dt]?)|authori[sz]ation|cookie|api[-_]?key|"
    r"access[-_]?key"
)
"""A piece of the names whose values are nobody's business: of parameters, headers and fields, whatever the case."""
_LONGEST_NAME: Final = 100
_MOST_NAMES: Final = 300
_STARTED: Final = re.compile(rf"{_STYLE}\Z")


def printable(text: str) -> str:
    """A text on one line. Each character that isn't seen becomes a blank."""
    if not text.isprintable():
        text = "".join(letter if _seen(letter) else " " for letter in text)
    return _MARKER.sub("# #", text) if "##" in text else text


def name(text: str) -> str:
    """The same for a name, by which something is found again: what isn't seen is spelt out, `\\x1b`, so that two
    names remain two. Ends of lines stay: whoever writes names down has a way to quote them."""
    if not text.isprintable():
        text = "".join(letter if _seen(letter) or letter == "\n" else _spelt(letter) for letter in text)
    return _MARKER.sub("# #", text) if "##" in text else text


def lines(text: str) -> str:
    """The same for a text of several lines, which keeps them; a tab becomes blanks."""
    return "\n".join(map(printable, text.expandtabs().split("\n")))


def without_commands(text: str, started: bool = False) -> str:
    """Lines that are about to be printed, without anything that a CI server would take for a command.

    `started`: the line on which the text begins has something on it.
    """
    text = _MARKER.sub("# #", text) if "##" in text else text
    if "::" not in text:
        return text
    first, end, rest = text.partition("\n") if started else ("", "", text)
    return first + end + _COMMAND.sub(r"\1: ", rest)


def begins_line(text: str, started: bool = False) -> bool:
    """Whether what is printed after this text stands at the start of a line."""
    line = text.rpartition("\n")
    return _STARTED.match(line[2]) is not None and (bool(line[1]) or not started)


def plain_json(document: bytes) -> bytes:
    """A JSON document that means the same, with what isn't seen of its texts as escapes."""
    if b"##" in document:
        document = re.sub(rb"##(?=\w*\[)", rb"#\\u0023", document)
    if document.isascii() and b"\x7f" not in document:
        return document
    return re.sub(r"[^\n -~]", _escape, document.decode()).encode()


def near(wrong: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Which of the known names was likely meant, if any: one or none.

    Long ones and those after the first hundreds aren't looked at: what a person mistypes is short, and looking for it
    in what a machine has made would take minutes.
    """
    if len(wrong) > _LONGEST_NAME:
        return []
    return difflib.get_close_matches(
        wrong, [name for name in islice(known, _MOST_NAMES) if len(name) <= _LONGEST_NAME], n=1, cutoff=cutoff
    )


def meant(wrong: str, known: Iterable[str], otherwise: str) -> str:
    """What to do about a name that isn't among the known ones: the one that was likely meant, or else something."""
    close = near(wrong, known)
    return f"did you mean {close[0]!r}?" if close else otherwise


def _escape(match: re.Match[str]) -> str:
    letter = match[0]
    if _seen(letter):
        return letter
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def _seen(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) not in _UNSEEN


def _spelt(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
