"""Loop two: from the journal to the sinks, one cursor each. Knows nothing of sources and rules."""
