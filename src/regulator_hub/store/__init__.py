"""The hub's durable store: entries in order, live copies, texts, evidence, alarms. Knows no carrier and no page."""
