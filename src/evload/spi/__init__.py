"""The doors through which adapters come in: what producers, probes, gauges, activities and sinks must be able to do.

An adapter is a pydantic settings model with a `kind` (an activity's is one of its keys) and one method, `open`. The
settings are validated without the adapter's SDK; `open` imports it, connects, and yields the object that does the
work. A format of the report is a class with one method, `files`. All that a plug-in needs is here; `evload.testing`
has what holds it against what evload relies on.
"""

from __future__ import annotations

from ..clock import Clock
from ..errors import GuardError, OutputError, TargetError
from ..model.correlation import CorrelationIds
from ..model.facts import EventFacts
from ..model.progress import Progress
from ..model.report import EventSample, Report
from ..model.states import Outcome, Seen
from ..model.travel import Encoding, Event, Read, ReadResult, Receipt, Target
from ..units import NS_PER_S, Duration, Rate, Share, Size, format_duration
from .activity import Activity, ActivitySettings, Values, as_text, filled_in
from .activity import Outcome as ActivityOutcome
from .context import SECRET, VERSION, AdapterSettings, AnswerTimeout, Capabilities, Surroundings
from .format import Files, Format
from .gauge import Gauge, GaugeSettings, Late, LateGauge, Sample, lower_end
from .guard import LOCALHOST, NOBODY, Guard, Reach
from .listening import BackOff, Cuts, Inbox, Tell, come_back, nothing_of
from .probe import BatchProbe, Confirm, Elsewhere, Probe, ProbeSettings, PushProbe
from .producer import Producer, ProducerSettings, Settle
from .secrets import Secret, Secrets
from .sink import Sink, SinkSettings, SinkSurroundings
from .traffic import Exchange, Message, Traffic

__all__ = [
    "LOCALHOST",
    "NOBODY",
    "NS_PER_S",
    "SECRET",
    "VERSION",
    "Activity",
    "ActivityOutcome",
    "ActivitySettings",
    "AdapterSettings",
    "AnswerTimeout",
    "BackOff",
    "BatchProbe",
    "Capabilities",
    "Clock",
    "Confirm",
    "CorrelationIds",
    "Cuts",
    "Duration",
    "Elsewhere",
    "Encoding",
    "Event",
    "EventFacts",
    "EventSample",
    "Exchange",
    "Files",
    "Format",
    "Gauge",
    "GaugeSettings",
    "Guard",
    "GuardError",
    "Inbox",
    "Late",
    "LateGauge",
    "Message",
    "Outcome",
    "OutputError",
    "Probe",
    "ProbeSettings",
    "Producer",
    "ProducerSettings",
    "Progress",
    "PushProbe",
    "Rate",
    "Reach",
    "Read",
    "ReadResult",
    "Receipt",
    "Report",
    "Sample",
    "Secret",
    "Secrets",
    "Seen",
    "Settle",
    "Share",
    "Sink",
    "SinkSettings",
    "SinkSurroundings",
    "Size",
    "Surroundings",
    "Target",
    "TargetError",
    "Tell",
    "Traffic",
    "Values",
    "as_text",
    "come_back",
    "filled_in",
    "format_duration",
    "lower_end",
    "nothing_of",
]
