"""What all tests need of the process that they run in."""

from __future__ import annotations

import signal

# A shell starts what it runs in the background with SIGINT ignored, and every program below inherits that; some tests
# interrupt what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
