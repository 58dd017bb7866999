"""Refuses to train on what looks ahead: the leak detector before the first step."""

from collections.abc import Callable
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from tradewright.config.runtime import Runtime


class LeakCheck(Callback):
    """Checks features, their scaler, the environment and the ranges when the training starts.

    ``task=backtest`` runs the same detector on its rule with the values of this node, without building it.

    Args:
        check: Runs the checks with the values below, raises if one fails and returns the evidence.
        num_cuts: Random cuts of each check, >= 8; more find rarer leaks.
        seed: Of cuts and futures.
        max_values: Most bars x instruments looked at; None: all.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        *,
        check: Runtime[Callable[..., Any]],
        num_cuts: int = 8,
        seed: int = 0,
        max_values: int | None = 10_000,
    ) -> None:
        if num_cuts < 8:
            raise ValueError(f"num_cuts must be >= 8, was {num_cuts}; fewer miss leaks that show as a sign only")
        if max_values is not None and max_values < 1:
            raise ValueError(f"max_values must be >= 1 or null, was {max_values}")
        self.check = check
        self.num_cuts, self.seed, self.max_values = num_cuts, seed, max_values
        self.found: Any = None
        """The evidence (``evaluate.evidence.Leaks``), once the training has started."""

    def on_fit_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Run the checks; see ``run``."""
        self.run()

    def run(self) -> None:
        """Run the checks.

        Raises:
            RunError: A leak was found, or something cannot be checked.
        """
        self.found = self.check(num_cuts=self.num_cuts, seed=self.seed, max_values=self.max_values)
