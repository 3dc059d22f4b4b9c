"""Evidence packs: part of a record in one file that anyone can check offline (docs/reference/journal-format.md section 8)."""
