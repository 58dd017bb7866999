"""``TradingGymVectorEnv``: B accounts of any trading environment as one Gymnasium vector environment.

What happens to an account whose episode is over is ``metadata["autoreset_mode"]``:

* ``SAME_STEP`` (default): it starts anew within the step; the observation is the first of the new episode, the last
  of the old one is in ``info["final_obs"]``, its info in ``info["final_info"]``. Stable-Baselines3 does so too.
* ``NEXT_STEP``: the step returns the last observation; the step after it ignores that account's action and returns the
  first observation of the new episode with reward 0. Gymnasium's default.
* ``DISABLED``: nothing; restart it with ``reset(options={"reset_mask": mask})``.

Legend: B accounts.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from tradewright.env.gymnasium_env import GymAccounts, GymMarket, Seen
from tradewright.env.trading import Accounts

Flags = npt.NDArray[np.bool_]


class TradingGymVectorEnv(VectorEnv[Any, Any, Any]):
    """B accounts that step together; takes the keys of ``GymMarket``.

    Args:
        num_envs: B.
        autoreset_mode: See the module.
        **keys: As of ``TradingGymEnv``.

    Example:
        >>> env = TradingGymVectorEnv(1024, panel=panel, features=features, env=Discrete9(window=20))
        >>> observations, infos = env.reset(seed=0)
        >>> observations, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
    """

    def __init__(self, num_envs: int, *, autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP, **keys: Any) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be >= 1, was {num_envs}")
        self._inner = GymAccounts(GymMarket(**keys), num_envs)
        self.num_envs = num_envs
        self.autoreset_mode = autoreset_mode
        self.metadata = {"render_modes": [], "autoreset_mode": autoreset_mode}
        self.single_observation_space = self._inner.observation_space
        self.single_action_space = self._inner.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._done_B: Flags = np.zeros(num_envs, dtype=np.bool_)

    @property
    def accounts(self) -> Accounts:
        """The accounts."""
        return self._inner.accounts

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Start all episodes, or those of ``options["reset_mask"]`` (bool ``[B]``).

        Args:
            seed: One for all accounts, which share a generator.
            options: ``reset_mask``.

        Raises:
            ValueError: A list of seeds was given, or the mask does not fit.
        """
        if isinstance(seed, list):
            raise ValueError(f"seed must be one number, since all accounts share a generator, was {seed}")
        super().reset(seed=seed)
        if seed is not None:
            self._inner.generator.manual_seed(seed)
        mask_B = None if options is None else options.get("reset_mask")
        if mask_B is None:
            self.accounts.reset()
            self._done_B = np.zeros(self.num_envs, dtype=np.bool_)
        else:
            mask_B = np.asarray(mask_B)
            if mask_B.shape != (self.num_envs,) or mask_B.dtype != np.bool_:
                raise ValueError(
                    f"reset_mask must be bool of shape ({self.num_envs},), was {mask_B.dtype} {mask_B.shape}"
                )
            self._restart(mask_B)
            self._done_B = self._done_B & ~mask_B
        return self._inner.seen(), self._infos()

    def step(self, actions: Any) -> tuple[Seen, npt.NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """Act at the close of a bar; return what is seen at the close of the next."""
        waiting_B, is_next = self._done_B, self.autoreset_mode == AutoresetMode.NEXT_STEP
        if self.autoreset_mode == AutoresetMode.DISABLED and waiting_B.any():
            raise ValueError(
                f"account {int(waiting_B.argmax())} is done; reset(options={{'reset_mask': ...}}) comes first"
            )
        if is_next and waiting_B.any():
            self._restart(waiting_B)  # off their last bar, which has no next one
        with torch.no_grad():
            moved = self.accounts.step(self._inner.action(actions))
        reward_B, terminated_B, truncated_B = (x_B.cpu().numpy().copy() for x_B in moved)
        if is_next and waiting_B.any():
            self._restart(waiting_B)  # back to a start: the bar that they made does not count
            reward_B[waiting_B], terminated_B[waiting_B], truncated_B[waiting_B] = 0.0, False, False
        done_B: Flags = terminated_B | truncated_B
        final: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            final = self._final(done_B)
            self._restart(done_B)
        else:
            self._done_B = done_B
        return self._inner.seen(), reward_B, terminated_B, truncated_B, {**self._infos(), **final}

    def _restart(self, mask_B: Flags) -> None:
        self.accounts.restart(torch.from_numpy(mask_B).to(self.accounts.device))

    def _infos(self) -> dict[str, Any]:
        return {
            "equity": self.accounts.equity_B.cpu().numpy().copy(),
            "_equity": np.ones(self.num_envs, dtype=np.bool_),
        }

    def _final(self, done_B: Flags) -> dict[str, Any]:
        """Return the last observations and infos of episodes that are over, in Gymnasium's form."""
        if not done_B.any():
            return {}
        seen = self._inner.seen()
        final_B = np.full(self.num_envs, None, dtype=object)
        for b in np.flatnonzero(done_B):
            final_B[b] = {name: x[b] for name, x in seen.items()} if isinstance(seen, dict) else seen[b]
        equity_B = np.where(done_B, self.accounts.equity_B.cpu().numpy(), 0.0)
        return {
            "final_obs": final_B,
            "_final_obs": done_B,
            "final_info": {"equity": equity_B, "_equity": done_B},
            "_final_info": done_B,
        }
