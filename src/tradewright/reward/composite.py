"""``reward=composite``: any of the terms by name, each with its weight and its own keys.

r_t = scale · Σ weight · term. Terms are larger the better (penalties are negative by themselves), so weights are >= 0.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from tradewright.errors import suggest
from tradewright.reward import growth, risk, trades
from tradewright.reward.term import SumOfTerms, Term

TERMS: dict[str, type[Term]] = {
    "log_return": growth.LogReturnTerm,
    "benchmark": growth.BenchmarkTerm,
    "turnover": growth.TurnoverTerm,
    "realised": growth.RealisedTerm,
    "unrealised": growth.UnrealisedTerm,
    "cost": growth.CostTerm,
    "drawdown": risk.DrawdownTerm,
    "max_drawdown": risk.MaxDrawdownTerm,
    "sharpe": risk.SharpeTerm,
    "sortino": risk.SortinoTerm,
    "consistency": risk.ConsistencyTerm,
    "winning_streak": trades.WinningStreakTerm,
    "win_rate": trades.WinRateTerm,
    "win_loss": trades.WinLossTerm,
}


class Composite(SumOfTerms):
    """A weighted sum of named terms.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        terms: By name of ``TERMS``: ``weight`` (>= 0; 1 where absent) and the term's own keys; null leaves one out.

    Raises:
        ValueError: An argument is out of range, or a name or key is unknown.
    """

    def __init__(
        self,
        *,
        terms: Mapping[str, Mapping[str, Any] | None],
        scale: float = 100.0,
        bankrupt_reward: float = -100.0,
    ) -> None:
        chosen = {name: _weighted(name, keys) for name, keys in terms.items() if keys is not None}
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms=chosen)


def _weighted(name: str, keys: Mapping[str, Any]) -> tuple[Term, float]:
    """Return a term and its weight from their keys."""
    if name not in TERMS:
        raise ValueError(f"terms has no {name!r}{suggest(name, TERMS)}")
    own = dict(keys)
    weight = own.pop("weight", 1.0)
    known = [*inspect.signature(TERMS[name]).parameters, "weight"]
    for key in own:
        if key not in known:
            raise ValueError(f"terms.{name} has no key {key!r}{suggest(key, known)}")
    try:
        if not weight >= 0:
            raise ValueError(f"weight must be >= 0, was {weight}")
        return TERMS[name](**own), weight
    except ValueError as error:
        raise ValueError(f"terms.{name}.{error}") from error
