"""Loop one: from a source's batch, through the rules, to a durable entry. Knows nothing of sinks."""
