"""Deriving every value and every outcome of rules of a record again, from raw bytes and the configurations in force; changes nothing."""
