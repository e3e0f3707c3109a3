"""The doors through which adapters come in: what a producer, a probe, a gauge and a sink must be able to do."""
