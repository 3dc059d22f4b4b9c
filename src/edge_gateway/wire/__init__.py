"""Batches and entries as bytes for the wire, and back; pure, golden-tested."""
