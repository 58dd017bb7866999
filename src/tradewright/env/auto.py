"""``env=auto``: continuous where the algorithm can, else discrete9."""

from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import Discrete9
from tradewright.env.trading import TradingEnv


class Auto:
    """Picks the environment that suits the algorithm; takes the keys of ``TradingEnv``."""

    def __init__(
        self,
        *,
        window: int = 20,
        episode_bars: int | None = 252,
        observation: str = "index",
        rebalance_threshold: float = 0.0,
        lowest_weight: float = -1.0,
        highest_weight: float = 1.0,
    ) -> None:
        self._by_kind: dict[str, TradingEnv] = {
            kind: env(
                window=window,
                episode_bars=episode_bars,
                observation=observation,
                rebalance_threshold=rebalance_threshold,
                lowest_weight=lowest_weight,
                highest_weight=highest_weight,
            )
            for kind, env in (("continuous", Continuous), ("discrete", Discrete9))
        }

    def choose(self, action_kinds: tuple[str, ...]) -> TradingEnv:
        """Return the environment for an algorithm that accepts ``action_kinds``."""
        return self._by_kind["continuous" if "continuous" in action_kinds else "discrete"]
