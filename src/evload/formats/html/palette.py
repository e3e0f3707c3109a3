"""The colours of the charts by name, each a light and a dark one; of lines there are as many as there are lines."""

from __future__ import annotations

from collections.abc import Mapping
from colorsys import hls_to_rgb
from typing import Final, Literal

LIGHT: Final[Mapping[str, str]] = {
    "surface": "#ffffff",
    "ink": "#1d2126",
    "muted": "#59616b",
    "line": "#e2e4e6",
    "accent": "#2b5c9e",
    "second": "#b45f06",
    "third": "#1c7a55",
    "fourth": "#7b4fa3",
    "bad": "#b3261e",
    "warn": "#8f5b00",
    "action": "#0b7285",
}
"""As they are until the page's script has looked at its theme; the page's styles have the dark ones."""
_FIRST: Final = ("accent", "second", "third", "fourth", "muted", "bad")
_GOLDEN: Final = 137.508
"""Degrees from one hue to the next: however many there are, no two are close."""
_DARK_SURFACE: Final = "#181c21"
_CONTRAST: Final = 3.5
"""Of a line against what is behind it; WCAG asks for 3."""
Dash = Literal["solid", "dashed", "dotted", "dotdash"]
_DASHES: Final[tuple[Dash, ...]] = ("solid", "dashed", "dotted", "dotdash")


def line_colour(number: int) -> str:
    """The name of the colour of a chart's n-th line, which no other of its lines has."""
    return _FIRST[number] if number < len(_FIRST) else f"line{number}"


def line_dash(number: int) -> Dash:
    """How the n-th line is drawn: the second half dozen differs in that as well, for whoever sees few colours."""
    return _DASHES[number // len(_FIRST) % len(_DASHES)]


def light(name: str) -> str:
    """The colour of that name on the light page."""
    return LIGHT.get(name) or _of_line(name, LIGHT["surface"])


def further(names: set[str]) -> list[tuple[str, str, str]]:
    """Of the colours that the page's styles don't have: name, light, dark; in order."""
    found = sorted(names - LIGHT.keys(), key=lambda name: int(name.removeprefix("line")))
    return [(name, light(name), _of_line(name, _DARK_SURFACE)) for name in found]


def _of_line(name: str, surface: str) -> str:
    """The colour of a line, as light or as dark as it takes to be seen on the surface."""
    number = int(name.removeprefix("line"))
    hue = number * _GOLDEN % 360 / 360
    towards = -0.02 if _luminance(surface) > 0.5 else 0.02
    lightness = 0.5 - 4 * towards * (number % 3)
    while True:
        red, green, blue = (round(255 * part) for part in hls_to_rgb(hue, lightness, 0.65))
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        if contrast(colour, surface) >= _CONTRAST:
            return colour
        lightness += towards


def contrast(one: str, other: str) -> float:
    """Of two colours, by WCAG: from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
