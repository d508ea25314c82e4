"""Settings of all tests: examples are fixed where a landing hangs on them, and no deadline depends on a busy machine."""

import os

from hypothesis import settings

settings.register_profile("apis", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("apis")
