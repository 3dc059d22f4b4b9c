"""Points that are computed from other points as their readings come in. Pure: knows no source, no journal, no clock."""
