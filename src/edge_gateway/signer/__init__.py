"""The gateway's signature on its record: a process of its own that holds the key, and the gateway's side of asking it."""
