"""The configuration: files merged key by key, validated, references resolved; the union of the parts' own configurations."""
