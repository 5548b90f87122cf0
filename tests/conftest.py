"""What holds for all tests."""

import os

from hypothesis import settings

# How long an example takes says more about the machine than about the code. In CI the examples are the same at every run: what a
# random one finds is found, and mended, at a developer's desk.
settings.register_profile("mcoa", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("mcoa")
