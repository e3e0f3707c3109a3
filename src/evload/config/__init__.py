"""From YAML text to a frozen config, with every mistake at its line."""

from __future__ import annotations

from .load import load, load_data, load_text
from .run_config import LoadedConfig, RunConfig
from .sections import ConfigFile, ObjectiveEntry, Scenario

__all__ = ["ConfigFile", "LoadedConfig", "ObjectiveEntry", "RunConfig", "Scenario", "load", "load_data", "load_text"]
