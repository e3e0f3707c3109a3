"""A stand-in of builder and parser functions on Knative: a broker front, RabbitMQ, functions that scale from zero."""
