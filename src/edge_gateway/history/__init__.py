"""Looking back into the record: exports now, roll-ups later; everything here can be made again from the journal."""
