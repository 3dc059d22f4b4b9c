"""The record: append-only, durable, the only hand-over between intake and shipping."""
