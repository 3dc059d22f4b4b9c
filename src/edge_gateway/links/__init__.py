"""Connections to outside things, one module each; none knows what travels over it."""
