"""``TradingTorchRLEnv``: accounts behind TorchRL's ``EnvBase``, for its collectors, losses and checkers.

``step_and_maybe_reset`` is ours: step, copy of the root and restart in one, without TorchRL's walk over specs and keys.
A test holds it to TorchRL's own, number by number. Legend: B accounts.
"""

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite, TensorSpec, Unbounded
from torchrl.envs import EnvBase

from tradewright.env.simulator import Simulator
from tradewright.env.trading import Accounts

FLAGS = ("done", "terminated", "truncated")


class TradingTorchRLEnv(EnvBase):
    """A batch-locked environment of ``accounts.num_envs`` accounts; rewards are float64, observations float32.

    Args:
        accounts: The accounts of any trading environment; give them a generator to start episodes at random bars, and
            ``figures`` to find those of the episodes so far under ``info``.
    """

    def __init__(self, accounts: Accounts) -> None:
        num = accounts.num_envs
        super().__init__(device=accounts.device, batch_size=torch.Size([num]))
        self.simulator = accounts
        self.figures = accounts.figures if isinstance(accounts, Simulator) else None
        specs: dict[str, TensorSpec] = {}
        for key, value in accounts.observe().items():
            if key == "index":
                specs[key] = Bounded(0, len(accounts.market.prices) - 1, shape=(num,), dtype=torch.int64)
            else:
                specs[key] = Unbounded(shape=value.shape, dtype=torch.float32)
        if self.figures is not None:
            figure = Unbounded(shape=(num,), dtype=torch.float64)
            specs["info"] = Composite({key: figure.clone() for key in self.figures.keys}, shape=(num,))
        self.observation_spec = Composite(specs, shape=(num,))
        self._own = {"action", *specs, *FLAGS}
        env = accounts.env
        if env.action_kind == "discrete":
            self.action_spec = Categorical(env.num_actions, shape=(num,), dtype=torch.int64)
        else:
            self.action_spec = Bounded(-1.0, 1.0, shape=(num, env.num_actions), dtype=torch.float32)
        self.reward_spec = Unbounded(shape=(num, 1), dtype=torch.float64)
        flag = Binary(1, shape=(num, 1), dtype=torch.bool)
        self.done_spec = Composite({name: flag.clone() for name in FLAGS}, shape=(num,))

    def _reset(self, tensordict: TensorDictBase | None = None, **_: object) -> TensorDictBase:
        mask = tensordict.get("_reset", None) if tensordict is not None else None
        if mask is None:
            self.simulator.reset()
        else:
            self.simulator.restart(mask.reshape(-1))
        return self._dict({**self._observe(), **self._false()})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return self._advance(tensordict["action"])[0]

    def _step_and_maybe_reset(self, tensordict: TensorDictBase) -> tuple[TensorDictBase, TensorDictBase]:
        """Step; return the given data with ``next``, and what the next step starts from, restarted where done.

        As TorchRL does, what others put beside the observation is carried on, and zero where an account was restarted;
        the action, which the next step replaces, is not carried.
        """
        given = dict(tensordict.items())
        foreign = {name: value for name, value in given.items() if name not in self._own}
        is_plain = all(isinstance(value, Tensor) for value in foreign.values())
        if not is_plain or self._post_step_mdp_hooks is not None or "next" in given or "_step" in given:
            both: tuple[TensorDictBase, TensorDictBase] = super()._step_and_maybe_reset(tensordict)
            return both
        after, done_B = self._advance(given["action"])
        self.simulator.restart(done_B)
        root: dict[str, Tensor | TensorDict] = {
            name: value.masked_fill(done_B.reshape(-1, *(1,) * (value.ndim - 1)), 0) for name, value in foreign.items()
        }
        root.update(self._observe())
        root.update(self._false())
        tensordict.set("next", after)
        return tensordict, self._dict(root)

    def _advance(self, action: Tensor) -> tuple[TensorDict, Tensor]:
        """Step; return the ``next`` data, and who is done ``[B]``."""
        moved = self.simulator.step(action)
        done_B = moved.terminated_B | moved.truncated_B
        after = {
            **self._observe(),
            "terminated": moved.terminated_B[:, None],
            "truncated": moved.truncated_B[:, None],
            "done": done_B[:, None],
            "reward": moved.reward_B[:, None],
        }
        return self._dict(after), done_B

    def _false(self) -> dict[str, Tensor]:
        shape = (self.batch_size[0], 1)
        return {name: torch.zeros(shape, dtype=torch.bool, device=self.device) for name in FLAGS}

    def _dict(self, values: dict[str, Tensor | TensorDict]) -> TensorDict:
        """Return values that are known to fit, without the checks of ``TensorDict(...)``."""
        made: TensorDict = TensorDict._new_unsafe(values, batch_size=self.batch_size, device=self.device)
        return made

    def _observe(self) -> dict[str, Tensor | TensorDict]:
        """Return the observation, and the figures of the episodes where they are kept."""
        if self.figures is None:
            return {**self.simulator.observe()}
        return {**self.simulator.observe(), "info": self._dict(dict(self.figures.now()))}

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None and self.simulator.generator is not None:
            self.simulator.generator.manual_seed(seed)
