"""The journal's bytes and proofs: entries, leaves and roots; pure."""
