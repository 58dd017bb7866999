"""``JointMarket``: bars of all instruments at once, for accounts that trade a whole panel from shared cash.

It holds the numbers of ``ExecutionTensors`` in time order, so that the bar of an account is one row.
Legend: T bars, N instruments, K finer bars inside a bar, B accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tradewright.backtest.execution import ExecutionRules
from tradewright.env.execution_tensors import PRICES, ExecutionTensors
from tradewright.env.market_tensors import MarketTensors
from tradewright.market.step import Bar


@dataclass(frozen=True)
class JointMarket:
    """What the bar step is given.

    Args:
        bars: Fields of ``market.account.Bar`` by name, ``[T, N]``, of finer bars ``[T, K, N]``; what no instrument
            needs is left out.
        years_T: Elapsed fraction of a 365-day year since the previous bar.
        distances: Default distances of stops that differ from bar to bar, fractions by name, ``[T, N]``; NaN: none.
        contract: ``multiplier_N``, ``lot_N`` and ``tick_N``, where one is not neutral.
    """

    bars: Mapping[str, Tensor]
    years_T: Tensor
    distances: Mapping[str, Tensor]
    contract: Mapping[str, Tensor]

    @classmethod
    def build(cls, market: MarketTensors, rules: ExecutionRules) -> "JointMarket":
        """Work out what these rules need.

        Raises:
            MarketError: The rules need volumes, finer bars or ticks that the market does not have.
        """
        execution = ExecutionTensors.build(market, rules)

        def in_time(flat: Tensor) -> Tensor:
            """Turn ``[N*T, ...]`` into ``[T, ..., N]``."""
            by_instrument = flat.reshape(market.num_instruments, market.num_bars, *flat.shape[1:])
            return by_instrument.movedim(0, -1).contiguous()

        bars = {f"{name}_BN": in_time(column) for name, column in zip(PRICES, market.prices.unbind(-1), strict=True)}
        if not execution.is_gapless:
            bars["tradable_BN"] = in_time(market.tradable)
        return cls(
            bars=bars | {name: in_time(column.squeeze(-1)) for name, column in execution.events.items()},
            years_T=market.years_T,
            distances={name: in_time(column) for name, column in execution.distances.items()},
            contract=execution.contract,
        )

    def bar(self, bar_B: Tensor) -> Bar:
        """Return bar ``bar_B`` of every account, prices ``[B, N]``."""
        return Bar(years_B=self.years_T[bar_B], **{name: column[bar_B] for name, column in self.bars.items()})
