"""What the fork server imports once, so that no job pays for it; loaded there and nowhere else.

Nothing here may start a thread or CUDA: processes forked from one that did can hang. The tasks' own imports follow.
"""

import atexit
import gc
import importlib
import os
import signal
import sys

SERVER = os.getpid() if any("multiprocessing.forkserver" in word for word in sys.orig_argv) else None
"""The fork server; None: something else reads this module."""

if SERVER is not None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker; its end ends the fork server

MODULES = (
    "numpy",
    "pandas",
    "duckdb",
    "torch",
    "lightning",
    "tensordict",
    "torchrl",
    "torch.utils.tensorboard",
    "plotly.graph_objs._figure",
    "tradewright.jobs",
    "tradewright.run",
    "tradewright.task.train",
    "tradewright.task.backtest",
    "tradewright.data.nasdaq",
    "tradewright.algorithm.ppo",
    "tradewright.env.trading",
    "tradewright.callbacks.progress",
    "tradewright.callbacks.health",
    "tradewright.callbacks.throughput",
    "tradewright.report.html",
)
"""By name: a job imports them by name as well, from its configuration."""

for name in MODULES:
    importlib.import_module(name)

gc.collect()
gc.freeze()  # the collector of a job leaves these objects, and so the shared memory, untouched


def leave() -> None:
    """End the fork server without taking apart, for seconds, what it has imported; its copies run this too."""
    if os.getpid() == SERVER:
        os._exit(0)


atexit.register(leave)
