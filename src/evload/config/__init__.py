"""From YAML text to a frozen config, with every mistake at its line."""

from .loading import LoadedConfig, RunConfig, load, load_text
from .sections import ConfigFile, ObjectiveEntry, Scenario

__all__ = ["ConfigFile", "LoadedConfig", "ObjectiveEntry", "RunConfig", "Scenario", "load", "load_text"]
