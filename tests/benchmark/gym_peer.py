"""What a good hand-written Gymnasium environment of the same market is: one account in Python floats and NumPy.

Long and short, proportional fee and slippage, log return in percent, windows of features and three figures of the
account. It imports neither torch nor this project, and a benchmark holds its equity to ours.
"""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class PeerEnv(gymnasium.Env[Any, Any]):
    """One account.

    Args:
        open_T, close_T: Prices.
        x_TF: Features, float32.
        window: Bars that are seen.
        episode_bars: Bars of an episode.
        fee, slippage: Fractions.
        start: Bar of every start; None: random.
    """

    def __init__(
        self,
        open_T: Any,
        close_T: Any,
        x_TF: Any,
        *,
        window: int,
        episode_bars: int,
        fee: float,
        slippage: float,
        start: int | None = None,
    ) -> None:
        self.open_T, self.close_T, self.x_TF = open_T.tolist(), close_T.tolist(), x_TF
        self.window, self.episode_bars, self.fee, self.slippage, self.first = window, episode_bars, fee, slippage, start
        self.observation_space = spaces.Box(-np.inf, np.inf, (window * x_TF.shape[1] + 3,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        last_start = len(self.close_T) - self.episode_bars - 1
        self.t = self.first if self.first is not None else int(self.np_random.integers(self.window - 1, last_start + 1))
        self.end, self.cash, self.shares, self.equity = self.t + self.episode_bars, 1e5, 0.0, 1e5
        return self._seen(), {}

    def _seen(self) -> Any:
        account = (
            self.shares * self.close_T[self.t] / self.equity,
            self.cash / self.equity,
            math.log(self.equity / 1e5),
        )
        bars = self.x_TF[self.t - self.window + 1 : self.t + 1]
        return np.concatenate((bars.ravel(), np.array(account, dtype=np.float32)))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        before, weight, self.t = self.equity, min(1.0, max(-1.0, float(action[0]))), self.t + 1
        price, held = self.open_T[self.t], self.shares
        equity = self.cash + held * price
        target = weight * equity / price
        kept = max(min(target, max(held, 0.0)), min(held, 0.0))
        after = kept + self._affordable(target - kept, kept, equity - self._cost((kept - held) * price), price)
        self.cash -= (after - held) * price + self._cost((after - held) * price)
        self.shares, self.equity = after, self.cash + after * self.close_T[self.t]
        is_broke = self.equity <= 0
        reward = -100.0 if is_broke else 100.0 * math.log(self.equity / before)
        return self._seen(), reward, is_broke, self.t >= self.end, {}

    def _cost(self, notional: float) -> float:
        return abs(notional) * (self.fee + self.slippage) + notional * self.fee * self.slippage

    def _affordable(self, wanted: float, kept: float, equity: float, price: float) -> float:
        need = abs(wanted * price) + self._cost(wanted * price)
        return wanted * min(1.0, (equity - abs(kept * price)) / need) if need else 0.0
