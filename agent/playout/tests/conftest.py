"""Examples share the machine with real servers: how long one takes says nothing."""

from hypothesis import settings

settings.register_profile("playout", deadline=None)
settings.load_profile("playout")
