"""The market of the PPO benchmark, and its timing: ``python ppo_market.py <market> <settings> <result>``.

A random walk with a planted autocorrelation, 3,000 daily bars of which 2,000 train; target weights within ±90 % of
equity, one basis point of fee and of slippage; windows of 8 bars. Times include collecting, learning and what Lightning
does around them, without validation.
"""

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

MARKET = {"window": 8, "episode_bars": 252, "stop": 2000, "highest_weight": 0.9, "fee": 1e-4, "slippage": 1e-4}
ITERATIONS = 5
"""Timed one by one; the first warms up and compiles."""


def market_of(observation: str = "index") -> Any:
    """Return the ``Setting``."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from conftest import make_panel
    from tradewright.algorithm.setting import Setting
    from tradewright.backtest.vectorized import Vectorized
    from tradewright.data.ranges import Range
    from tradewright.env.continuous import Continuous
    from tradewright.env.world import Stage
    from tradewright.features.pipeline import build_features
    from tradewright.features.price_volume import PriceVolume
    from tradewright.market.rules import Costs
    from tradewright.reward.log_return import LogReturn

    panel, rows = make_panel(3000, 1, 7, signal=0.3), Range(0, MARKET["stop"])
    with tempfile.TemporaryDirectory() as cache:
        features, _ = build_features(PriceVolume(), panel, rows, Path(cache))
        features = type(features)(**{**vars(features), "x_TNF": np.array(features.x_TNF)})
    costs = Costs(fee_bps=MARKET["fee"] * 1e4, slippage_bps=MARKET["slippage"] * 1e4)
    stage = Stage(
        panel=panel, features=features, rows=(rows,), rules=Vectorized(costs=costs).rules, reward=LogReturn()
    )  # fmt: skip
    weight = MARKET["highest_weight"]
    env = Continuous(
        window=MARKET["window"], episode_bars=MARKET["episode_bars"], observation=observation, lowest_weight=-weight,
        highest_weight=weight,
    )  # fmt: skip
    return Setting(env=env, stage=stage, reward_name="log_return", validate=lambda agent: {}, seed=0)


def write_market(path: Path) -> None:
    """Write what the peer's environment needs."""
    stage = market_of().stage
    arrays = {
        "open_T": stage.panel.open_TN[:, 0],
        "close_T": stage.panel.close_TN[:, 0],
        "features_TF": stage.features.x_TNF[:, 0],
        "first": stage.features.ready_from + MARKET["window"] - 1,
        "initial_cash": stage.rules.initial_cash,
        "scale": stage.reward.scale,
    }
    np.savez(path, **MARKET, **arrays)


def frames_per_second(setting: Any, keys: dict[str, Any]) -> float:
    """Train with one setting; the fastest of its iterations, learning included, in frames per second."""
    import lightning
    import torch

    from tradewright.algorithm.data_module import AgentDataModule
    from tradewright.algorithm.ppo import PPO
    from tradewright.callbacks.health import TrainHealth
    from tradewright.model.mlp import MLP

    threads = keys.pop("threads")
    now = time.process_time if threads == 1 else time.perf_counter
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    frames = keys["num_envs"] * keys["rollout_steps"]
    agent = PPO(
        setting=setting, model=partial(MLP, hidden=[64, 64]), total_frames=ITERATIONS * frames, iterations_per_epoch=1,
        **keys,
    )  # fmt: skip

    class Clock(lightning.Callback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.times.append(now())

        on_train_epoch_end = on_train_epoch_start

    clock = Clock()
    trainer = lightning.Trainer(
        max_epochs=ITERATIONS, accelerator="cpu", callbacks=[clock, TrainHealth()], logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, num_sanity_val_steps=0,
        limit_val_batches=0, gradient_clip_val=0.5,
    )  # fmt: skip
    trainer.fit(agent, AgentDataModule(agent))
    return frames / float(np.diff(clock.times)[::2].min())


def main(market_path: str, settings_path: str, result_path: str) -> None:
    """Time every setting and write the speeds; the market is made anew, as ``market_path`` was."""
    settings = json.loads(Path(settings_path).read_text())
    market = market_of()
    speeds = [frames_per_second(market, setting) for setting in settings]
    Path(result_path).write_text(json.dumps(speeds))


if __name__ == "__main__":
    main(*sys.argv[1:])
