"""From YAML text to a frozen config, with every mistake at its line."""

from .loading import ConfigFile, LoadedConfig, ObjectiveEntry, RunConfig, Scenario, load, load_text

__all__ = ["ConfigFile", "LoadedConfig", "ObjectiveEntry", "RunConfig", "Scenario", "load", "load_text"]
