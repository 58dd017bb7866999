"""``ExecutionTensors``: what the rules of execution need of a market beside its prices, as tensors to gather from.

It equals what the backtester hands its accounting (``backtest.quotes``), so both give the same equity.
Legend: T bars, N instruments, K finer bars inside a bar, B accounts. Row ``n * T + t`` is bar t of instrument n.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.quotes import default_distances, quotes_of
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.market_tensors import MarketTensors
from tradewright.market.step import Bar

PRICES = ("open", "high", "low", "close")
"""In the order of the columns of ``MarketTensors.prices``."""
FINER = ("finer_open", "finer_high", "finer_low")


@dataclass(frozen=True)
class ExecutionTensors:
    """Everything about a bar that ``MarketTensors`` does not hold.

    Args:
        market: Where bars exist.
        prices: Open, high, low and close by name, float64 ``[N*T]``: a column of its own is three times faster to
            gather from than rows of four.
        years: As ``MarketTensors.years_T``, float64 ``[N*T]``.
        is_gapless: Whether every instrument has every bar.
        events: Fields of ``market.account.Bar`` by name, float64 ``[N*T, 1]``, of finer bars ``[N*T, K, 1]``; what no
            instrument needs is left out.
        distances: Default distances of stops that differ from bar to bar, fractions by name, ``[N*T]``; NaN: none.
        contract: ``multiplier_N``, ``lot_N`` and ``tick_N``, where one is not neutral.
    """

    market: MarketTensors
    prices: Mapping[str, Tensor]
    years: Tensor
    is_gapless: bool
    events: Mapping[str, Tensor]
    distances: Mapping[str, Tensor]
    contract: Mapping[str, Tensor]

    @classmethod
    def build(cls, market: MarketTensors, rules: ExecutionRules) -> "ExecutionTensors":
        """Work out what these rules need.

        Raises:
            MarketError: The rules need volumes, finer bars or ticks that the market does not have.
        """
        panel, device = market.panel, market.prices.device
        rows = Range(0, panel.num_bars)

        def flat(x: np.ndarray) -> Tensor:
            """Turn ``[T, N]`` or ``[T, K, N]`` into ``[N*T]`` or ``[N*T, K]``."""
            by_instrument = np.moveaxis(x, -1, 0)
            return torch.from_numpy(by_instrument.reshape(-1, *by_instrument.shape[2:]).copy()).to(device)

        quotes = quotes_of(panel, rules, rows)._asdict()
        known = (*PRICES, "tradable", "years")
        given = {name: x for name, x in quotes.items() if x is not None and name not in known}
        distances = default_distances(panel, rules, rows)
        return cls(
            market=market,
            prices={name: column.contiguous() for name, column in zip(PRICES, market.prices.T, strict=True)},
            years=market.years_T.repeat(market.num_instruments),
            is_gapless=bool(panel.tradable_TN.all()),
            events={f"{name}_{'BKN' if name in FINER else 'BN'}": flat(x)[..., None] for name, x in given.items()},
            distances={f"{name}_BN": flat(x) for name, x in distances.items() if x is not None},
            contract=_contract(panel, device),
        )

    def bar(self, row_B: Tensor, *, has_stops: bool) -> Bar:
        """Return the bars at flat rows; only stops need high and low."""

        def gathered(name: str) -> Tensor:
            return self.prices[name].index_select(0, row_B)[:, None]

        return Bar(
            open_BN=gathered("open"),
            high_BN=gathered("high") if has_stops else None,
            low_BN=gathered("low") if has_stops else None,
            close_BN=gathered("close"),
            tradable_BN=None if self.is_gapless else self.market.tradable.index_select(0, row_B)[:, None],
            years_B=self.years.index_select(0, row_B),
            **{name: column.index_select(0, row_B) for name, column in self.events.items()},
        )

    def contract_of(self, instrument_B: Tensor) -> dict[str, Tensor]:
        """Return multiplier, lot and tick as the step takes them, ``[B, 1]``."""
        return {name: values_N.index_select(0, instrument_B)[:, None] for name, values_N in self.contract.items()}


def _contract(panel: Panel, device: torch.device) -> dict[str, Tensor]:
    facts = {
        "multiplier_N": ([fact.multiplier for fact in panel.instruments], 1.0),
        "lot_N": ([fact.lot for fact in panel.instruments], 0.0),
        "tick_N": ([fact.tick for fact in panel.instruments], 0.0),
    }
    return {
        name: torch.tensor(values, dtype=torch.float64, device=device)
        for name, (values, neutral) in facts.items()
        if set(values) != {neutral}
    }
