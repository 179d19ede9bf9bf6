"""Settings for the whole suite."""

from hypothesis import settings

# A slow machine is no failure.
settings.register_profile("fastsmtp", deadline=None)
settings.load_profile("fastsmtp")
