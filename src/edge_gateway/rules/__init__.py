"""Rules: what a pack may say, what it is bound to, and the engine that judges; knows no source, disk or sink."""
