"""Where the record is delivered: each sink knows exactly one outside service."""
