"""Times stable-baselines3's PPO in its own interpreter: ``python ppo_peer.py <market> <settings> <result>``.

The market is a Gymnasium environment of plain Python and NumPy, written for speed: one account, target weights within
±90 % of equity (so that buying power never binds), fills at the next open with slippage and a fee, reward and portfolio
state as in tradewright. It is proven equal to ours before anything is timed.
Legend: T bars, F features, W window, P portfolio numbers.
"""

import json
import math
import sys
import time
from typing import Any

import gymnasium
import numpy as np

NUM_PORTFOLIO = 7
HOLDING_UNIT = 100.0
DUST = 1e-12


class PeerMarket(gymnasium.Env):
    """One account on the bars of the file; ``market`` is what ``ppo_market.write_market`` wrote."""

    def __init__(self, market: dict[str, Any]) -> None:
        self.open, self.close = market["open_T"].tolist(), market["close_T"].tolist()
        self.features = np.ascontiguousarray(market["features_TF"])
        self.window, self.episode_bars = int(market["window"]), int(market["episode_bars"])
        self.first, self.stop = int(market["first"]), int(market["stop"])
        self.highest = float(market["highest_weight"])
        self.fee, self.slip = float(market["fee"]), float(market["slippage"])
        self.initial_cash, self.scale = float(market["initial_cash"]), float(market["scale"])
        self.size = self.window * self.features.shape[1]
        shape = (self.size + NUM_PORTFOLIO,)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        start = (options or {}).get("start")
        self.bar = int(self.np_random.integers(self.first, self.stop - self.episode_bars)) if start is None else start
        self.end = self.bar + self.episode_bars
        self.cash = self.equity = self.peak = self.initial_cash
        self.shares = self.cost = self.holding = 0.0
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        out = np.empty(self.size + NUM_PORTFOLIO, np.float32)
        out[: self.size] = self.features[self.bar - self.window + 1 : self.bar + 1].reshape(-1)
        value, equity = self.shares * self.close[self.bar], self.equity
        gain = value - self.shares * self.cost
        out[self.size :] = (
            value / equity, self.cash / equity, gain / equity, self.holding / HOLDING_UNIT, 1.0 - equity / self.peak,
            math.log(equity / self.initial_cash), 0.0,
        )  # fmt: skip
        return out

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        weight = min(1.0, max(-1.0, float(action[0]))) * self.highest
        self.bar += 1
        price, held = self.open[self.bar], self.shares
        at_open = self.cash + held * price
        self._trade(weight * at_open / price, at_open, price)
        before, self.equity = self.equity, self.cash + self.shares * self.close[self.bar]
        self.peak = max(self.peak, self.equity)
        if self.shares == 0.0:
            self.holding = 0.0
        elif self.shares * held > 0.0:
            self.holding += 1.0
        else:
            self.holding = 1.0
        reward = self.scale * math.log(self.equity / before)
        return self._observe(), reward, False, self.bar >= self.end, {}

    def _trade(self, target: float, at_open: float, price: float) -> None:
        held, change = self.shares, target - self.shares
        if abs(change) < DUST * at_open / price:
            return
        fill = price * (1.0 + self.slip if change > 0.0 else 1.0 - self.slip)
        self.cash -= change * fill + abs(change) * fill * self.fee
        if held * target <= 0.0:
            self.cost = fill
        elif abs(target) > abs(held):
            self.cost = (self.cost * held + fill * change) / target
        self.shares = target


def rewards_of(market: dict[str, Any], actions: np.ndarray, start: int) -> tuple[list[float], list[np.ndarray]]:
    """Rewards and observations of a sequence of actions from a bar."""
    env = PeerMarket(market)
    env.reset(options={"start": start})
    rewards, observed = [], []
    for action in actions:
        x, reward, *_ = env.step(action)
        rewards.append(reward)
        observed.append(x)
    return rewards, observed


def frames_per_second(market: dict[str, Any], setting: dict[str, Any]) -> float:
    """Train with one setting; the fastest of its iterations, learning included, in frames per second."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv

    class Clock(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.starts: list[float] = []
            self.now = time.process_time if setting["threads"] == 1 else time.perf_counter

        def _on_rollout_start(self) -> None:
            self.starts.append(self.now())

        def _on_step(self) -> bool:
            return True

    torch.set_num_threads(setting["threads"])
    envs = DummyVecEnv([lambda: PeerMarket(market)] * setting["num_envs"])
    keys = {key: setting[key] for key in ("n_steps", "batch_size", "n_epochs")}
    model = PPO("MlpPolicy", envs, device="cpu", seed=0, policy_kwargs={"net_arch": [64, 64]}, **keys)
    clock, frames = Clock(), setting["num_envs"] * setting["n_steps"]
    model.learn(frames * setting["iterations"], callback=clock)
    return frames / min(np.diff([*clock.starts, clock.now()]))


def main(market_path: str, settings_path: str, result_path: str) -> None:
    """Time every setting and write the speeds."""
    with np.load(market_path) as stored:
        market = dict(stored)
    with open(settings_path) as file:
        settings = json.load(file)
    speeds = [frames_per_second(market, setting) for setting in settings]
    with open(result_path, "w") as file:
        json.dump(speeds, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
