"""The gateway: readings in, judged, held durably, delivered; knows nothing of the hub's own code."""

__version__ = "0.1.0"
