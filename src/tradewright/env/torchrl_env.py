"""``TradingTorchRLEnv``: the simulator behind TorchRL's ``EnvBase``, for its collectors, losses and checkers.

Legend: B accounts, W window, F features, P portfolio features.
"""

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from tradewright.env.portfolio_state import PORTFOLIO
from tradewright.env.simulator import Simulator


class TradingTorchRLEnv(EnvBase):
    """A batch-locked environment of ``simulator.num_envs`` accounts; rewards are float64, observations float32.

    Args:
        simulator: The accounts; give it a generator to start episodes at random bars, and ``figures`` to find those of
            the episodes so far under ``info``.
    """

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(device=simulator.device, batch_size=torch.Size([simulator.num_envs]))
        self.simulator = simulator
        num, market, env = simulator.num_envs, simulator.market, simulator.env
        portfolio = Unbounded(shape=(num, len(PORTFOLIO)), dtype=torch.float32)
        if env.observation == "index":
            self.observation_spec = Composite(
                index=Bounded(0, len(market.prices) - 1, shape=(num,), dtype=torch.int64),
                portfolio=portfolio,
                shape=(num,),
            )
        else:
            shape = (num, env.window, market.features.shape[-1])
            window = Unbounded(shape=shape, dtype=torch.float32)
            self.observation_spec = Composite(window=window, portfolio=portfolio, shape=(num,))
        if simulator.figures is not None:
            figure = Unbounded(shape=(num,), dtype=torch.float64)
            figures = {key: figure.clone() for key in simulator.figures.keys}
            self.observation_spec["info"] = Composite(figures, shape=(num,))
        if env.action_kind == "discrete":
            self.action_spec = Categorical(env.num_actions, shape=(num,), dtype=torch.int64)
        else:
            self.action_spec = Bounded(-1.0, 1.0, shape=(num, env.num_actions), dtype=torch.float32)
        self.reward_spec = Unbounded(shape=(num, 1), dtype=torch.float64)
        flag = Binary(1, shape=(num, 1), dtype=torch.bool)
        self.done_spec = Composite(done=flag, terminated=flag.clone(), truncated=flag.clone(), shape=(num,))

    def _reset(self, tensordict: TensorDictBase | None = None, **_: object) -> TensorDictBase:
        mask = tensordict.get("_reset", None) if tensordict is not None else None
        if mask is None or bool(mask.all()):
            self.simulator.reset()
        else:
            self.simulator.restart(mask.reshape(-1))
        false_B1 = torch.zeros(self.simulator.num_envs, 1, dtype=torch.bool, device=self.device)
        flags = {"done": false_B1, "terminated": false_B1.clone(), "truncated": false_B1.clone()}
        return TensorDict({**self._observe(), **flags}, batch_size=self.batch_size, device=self.device)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        moved = self.simulator.step(tensordict["action"])
        flags: dict[str, Tensor] = {
            "terminated": moved.terminated_B[:, None],
            "truncated": moved.truncated_B[:, None],
            "done": (moved.terminated_B | moved.truncated_B)[:, None],
        }
        values = {**self._observe(), **flags, "reward": moved.reward_B[:, None]}
        return TensorDict(values, batch_size=self.batch_size, device=self.device)

    def _observe(self) -> dict[str, Tensor | TensorDict]:
        """Return the observation, and the figures of the episodes where they are kept."""
        if self.simulator.figures is None:
            return {**self.simulator.observe()}
        info = TensorDict(self.simulator.figures.now(), batch_size=self.batch_size, device=self.device)
        return {**self.simulator.observe(), "info": info}

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None and self.simulator.generator is not None:
            self.simulator.generator.manual_seed(seed)
