"""Settings of all tests."""

from hypothesis import settings

settings.register_profile("vbuild", deadline=None)  # other work on the machine is no failure
settings.load_profile("vbuild")
