"""``CostFactors``: what each training episode pays, as a multiple of the configured fees and slippage.

An agent that always pays the same costs may fit them; factors drawn per episode make it robust, and a curriculum lets
it find an edge before it has to pay for it. Only training worlds have factors: validation, test and every report are at
the configured costs. Legend: B accounts, K of them that start anew.
"""

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from tradewright.distributed import num_processes
from tradewright.errors import ConfigError
from tradewright.market.rules import AccountRules, Terms

FACTORED = ("fee_bps", "fixed_fee", "per_share_fee", "slippage_bps", "slippage_ticks", "impact")
"""Fields of ``Costs`` that the factor multiplies; rates on cash and shorts are the market's and stay."""


class CostKeys(Protocol):
    """The keys of an environment that costs come from."""

    cost_range: tuple[float, float] | None
    cost_curriculum_frames: int


class CostFactors:
    """One factor per account, drawn uniformly where an episode begins.

    The upper end of the range grows linearly from 0 to ``high`` over ``curriculum_frames`` environment steps, those
    of all processes that train together; the lower end is ``low``, or the upper end while that is smaller.

    Args:
        low, high: Ends of the range.
        curriculum_frames: 0: the whole range from the start.
        num_envs: B.
        generator: Draws, on the device of the accounts.
    """

    def __init__(
        self, *, low: float, high: float, curriculum_frames: int, num_envs: int, generator: torch.Generator
    ) -> None:
        self.low, self.high, self.curriculum_frames = low, high, curriculum_frames
        self.num_envs, self.generator = num_envs, generator
        self.frames = 0
        self.factor_B = self._draw(num_envs)
        self._terms: dict[str, Terms] = {}

    @classmethod
    def of(cls, keys: CostKeys, num_envs: int, generator: torch.Generator) -> "CostFactors | None":
        """Return the factors of an environment's keys; None where every episode pays the configured costs."""
        if keys.cost_range is None and not keys.cost_curriculum_frames:
            return None
        low, high = keys.cost_range or (1.0, 1.0)
        return cls(
            low=low,
            high=high,
            curriculum_frames=keys.cost_curriculum_frames,
            num_envs=num_envs,
            generator=generator,
        )

    def _draw(self, num: int) -> Tensor:
        upper = self.high
        if self.curriculum_frames:
            upper *= min(1.0, self.frames / self.curriculum_frames)
        lower = min(self.low, upper)
        unit = torch.rand(num, dtype=torch.float64, generator=self.generator, device=self.generator.device)
        return lower + unit * (upper - lower)

    def reset(self) -> None:
        """Draw the factors of new episodes of all accounts."""
        self.factor_B, self._terms = self._draw(self.num_envs), {}

    def restart(self, done_K: Tensor) -> None:
        """Draw the factors of new episodes of the accounts numbered ``done_K``."""
        self.factor_B, self._terms = self.factor_B.index_copy(0, done_K, self._draw(len(done_K))), {}

    def count(self) -> None:
        """Count a step of all accounts of all processes: the curriculum's clock."""
        self.frames += self.num_envs * num_processes()

    def largest(self, rules: AccountRules) -> AccountRules:
        """Return the rules at the highest costs that can be drawn; they say which rules of the accounting are needed.

        Raises:
            ConfigError: Slippage would reach the price.
        """
        return at_highest_costs(rules, self.high)

    def terms(self, rules: AccountRules, *, is_column: bool) -> Terms:
        """Return the costs of every account, ``[B, 1]`` as a column, else ``[B]``."""
        key = "column" if is_column else "flat"
        if key not in self._terms:
            self._terms[key] = rules.scaled_terms(self.factor_B[:, None] if is_column else self.factor_B)
        return self._terms[key]

    def state_dict(self) -> dict[str, Any]:
        """Return what a bit-exact continuation needs, but for the generator."""
        return {"factor_B": self.factor_B, "frames": self.frames}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.factor_B, self._terms = state["factor_B"].to(self.generator.device), {}
        self.frames = int(state["frames"])


def at_highest_costs(rules: AccountRules, high: float) -> AccountRules:
    """Return the rules with costs multiplied by the upper end of ``env.cost_range``, if that is above 1.

    Raises:
        ConfigError: Slippage would reach the price.
    """
    costs = {name: getattr(rules.costs, name) * max(1.0, high) for name in FACTORED}
    try:
        return replace(rules, costs=replace(rules.costs, **costs))
    except ValueError as error:
        raise ConfigError(
            f"env.cost_range must leave costs that exist at its upper end, was {high:g} there: {error}; lower it or "
            "the costs of backtest.costs"
        ) from None
