"""People with a secret of their own: who they are, and that it was they; knows nothing of what they decide."""

from edge_gateway.people.book import FILE, People, PeopleFault, Person
from edge_gateway.people.proof import NotProven

__all__ = ["FILE", "NotProven", "People", "PeopleFault", "Person"]
