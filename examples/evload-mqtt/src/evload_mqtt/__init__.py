"""MQTT 5 for evload: a producer `mqtt`, and a probe `mqtt-tap` that listens to a topic."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from evload.spi import Producer, PushProbe, Surroundings

from .settings import MqttProducerSettings, MqttTapSettings


class MqttProducerConfig(MqttProducerSettings):
    """Settings of the MQTT producer.

    `topic` can hold an event's placeholders. Mode structured puts the whole CloudEvent into the payload, mode binary
    its attributes into user properties, as the CloudEvents binding for MQTT has it.

    With QoS 1 an event is accepted when the broker says so (PUBACK), returned when the broker says that nobody
    subscribes to its topic, and rejected when it may not be published there or a quota is used up. With QoS 0
    a broker answers nothing, so every event stays in doubt: how many were seen all the same is `recovered`, and
    what begins with an ack (`publish`, `first_seen`, `consistency`, `lost`) has no figures.

    When the connection is lost, what has no answer is in doubt and is not sent again; until there is a new one, what
    is due is unsent.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Connect, yield the producer, settle what is left, disconnect. Raises TargetError."""
        from .publisher import open_publisher

        return open_publisher(self, surroundings)


class MqttTapConfig(MqttTapSettings):
    """Settings of the MQTT probe. Each message about an event is one side effect of it.

    It subscribes without a session, so what comes while it is cut off is missed for good, and after that nothing is
    called absent. Retained messages are not asked for: they say what was, not what becomes visible.

    A broker drops what a subscriber is too slow for without a word (Mosquitto: `max_queued_messages`), which looks
    like a loss in the system.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Connect and subscribe, yield the probe, disconnect. Raises TargetError."""
        from .listener import open_listener

        return open_listener(self, surroundings)
