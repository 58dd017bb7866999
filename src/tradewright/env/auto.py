"""``env=auto``: continuous where the algorithm can, else discrete9."""

from typing import ClassVar

from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import Discrete9
from tradewright.env.trading import TradingEnv, TradingKeys


class Auto(TradingKeys):
    """Picks the environment that suits the algorithm; takes the keys of ``TradingKeys``."""

    is_market: ClassVar[bool] = True

    def choose(self, action_kinds: tuple[str, ...]) -> TradingEnv:
        """Return the environment for an algorithm that accepts ``action_kinds``."""
        env = Continuous if "continuous" in action_kinds else Discrete9
        return env(**self.keys())
