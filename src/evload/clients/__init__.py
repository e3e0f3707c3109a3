"""What adapters share: HTTP, AMQP and AWS clients, JMESPath, stamps."""
