"""``Observation``: what an agent that trades bars sees, declared number by number before anything is trained.

Legend: B environments, W window, F features per bar (of all instruments where an account trades them all), P portfolio
features.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tradewright.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The numbers of one observation, in the order in which networks take them.

    Args:
        window: W, bars.
        names_F: Features of each of these bars.
        portfolio_P: Features of the account.
    """

    window: int
    names_F: tuple[str, ...]
    portfolio_P: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every number: ``t-19/return_1`` … ``t/weekday_cos``, then ``portfolio/weight`` …"""
        ages = ("t" if age == 0 else f"t-{age}" for age in reversed(range(self.window)))
        bars = (f"{bar}/{name}" for bar in ages for name in self.names_F)
        return (*bars, *(f"portfolio/{name}" for name in self.portfolio_P))

    def __len__(self) -> int:
        return self.window * len(self.names_F) + len(self.portfolio_P)

    def __str__(self) -> str:
        return (
            f"{self.window:,} bars x {len(self.names_F):,} features + {len(self.portfolio_P):,} portfolio"
            f" = {len(self):,} numbers"
        )

    def require(self, seen: Mapping[str, Tensor], num_features: int) -> None:
        """Check that environments show what is declared.

        Args:
            seen: What they show: ``portfolio`` ``[B, P]``, and ``window`` ``[B, W, F]`` unless it is gathered later.
            num_features: F of the market that windows are gathered from.

        Raises:
            ConfigError: They show other numbers.
        """
        window, portfolio = seen.get("window"), seen["portfolio"]
        found = (
            self.window if window is None else window.shape[-2],
            num_features if window is None else window.shape[-1],
            portfolio.shape[-1],
        )
        if found != (self.window, len(self.names_F), len(self.portfolio_P)):
            raise ConfigError(
                f"env: declares an observation of {self}, but shows {found[0]:,} bars x {found[1]:,} features +"
                f" {found[2]:,} portfolio; name every number in the environment's portfolio_names and the feature set"
            )
