"""The demonstration: a simulated plant, its story, a receiver and a comparison, as programs of their own beside the real gateway and hub.

Nothing of the product imports it.
"""
