"""Where readings come from: each source knows exactly one kind of outside thing."""
