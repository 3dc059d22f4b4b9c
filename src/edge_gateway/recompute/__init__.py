"""Deriving every value of a record again, from its raw bytes and the configuration in force; changes nothing."""
