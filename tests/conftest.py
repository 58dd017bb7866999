"""Shared fixtures and the one-thread rule of the test suite."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
