"""``Inputs``: from an observation to the numbers that a network takes; they have no weights.

Under index observations the window is gathered here, from the market's feature tensor, so that rollouts and replay
buffers store one integer per step instead of W·F numbers. The market is held outside the module's state: checkpoints
and copies do not contain it.
Legend: B environments (any leading dimensions), W window, F features, P portfolio features, N instruments, R bars that
may be the newest of a window.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tradewright.data.ranges import Range
from tradewright.env.classic import StateEnv
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.env.portfolio import Portfolio
from tradewright.env.trading import MarketEnv
from tradewright.env.world import Env, Stage
from tradewright.errors import ConfigError


class Bars:
    """Holds the market that windows are gathered from; copies of a module share it.

    Args:
        market: Whose features, on the networks' device when they run.
        rows: Bars that may be the newest of a window; windows may reach back before them.
    """

    def __init__(self, market: MarketTensors, rows: Range) -> None:
        self.market, self.rows = market, rows

    @property
    def features(self) -> Tensor:
        """``[N*T, F]`` float32."""
        return self.market.features

    def __deepcopy__(self, memo: dict[int, Any]) -> "Bars":
        return self


class Inputs(nn.Module, ABC):
    """Base: ``forward`` takes the observation's values in the order of ``in_keys`` and returns ``[B, width]``."""

    in_keys: tuple[str, ...]
    window: int = 0
    """Bars of features at the front of ``forward``'s numbers; 0 where an observation has none."""
    num_features: int = 0
    """Features per bar."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers per observation."""

    @contextmanager
    def reading(self, market: MarketTensors | None, rows: Range | None = None) -> Iterator[None]:
        """Read ``rows`` (None: all) of another market of the same features inside the context, if any is read."""
        yield


class WindowInputs(Inputs):
    """The window of features, flattened, beside the portfolio state.

    Args:
        env: Window and kind of observation.
        bars: The market's features; on the networks' device when they run.
    """

    def __init__(self, *, env: MarketEnv, bars: Bars) -> None:
        super().__init__()
        self.bars = bars
        self.window, self.num_features = env.window, bars.features.shape[-1]
        self.num_portfolio = len(env.portfolio_names(bars.market.panel.symbols))
        self.in_keys = env.in_keys
        self.is_indexed = env.observation == "index"

    @property
    def width(self) -> int:
        """W·F + P."""
        return self.window * self.num_features + self.num_portfolio

    def forward(self, bars: Tensor, portfolio: Tensor) -> Tensor:
        """Map indices ``[B]`` or windows ``[B, W, F]``, and portfolio ``[B, P]``, to ``[B, W·F + P]``."""
        window_BWF = gather_window(self.bars.features, bars, self.window) if self.is_indexed else bars
        return torch.cat((window_BWF.flatten(-2), portfolio), dim=-1)

    @property
    def num_windows(self) -> int:
        """N·R, the windows of the range."""
        return self.bars.market.num_instruments * (self.bars.rows.stop - self.first)

    @property
    def first(self) -> int:
        """The first bar of the range that ends a window whose features are all defined."""
        return max(self.bars.rows.start, self.bars.market.ready_from + self.window - 1)

    def span(self) -> Tensor:
        """Return the features of all windows of the range, ``[N, W-1+R, F]``."""
        market = self.bars.market
        features_NTF = market.features.unflatten(0, (market.num_instruments, market.num_bars))
        return features_NTF[:, self.first - self.window + 1 : self.bars.rows.stop]

    def place(self, index: Tensor) -> Tensor:
        """Return which of the N·R windows ends at each flat row of the market."""
        market = self.bars.market
        if market.num_instruments == 1:
            return index - self.first
        return index - (index // market.num_bars) * (market.num_bars - self.bars.rows.stop + self.first) - self.first

    @contextmanager
    def reading(self, market: MarketTensors | None, rows: Range | None = None) -> Iterator[None]:
        """Gather windows from another market inside the context."""
        assert market is not None
        trained_on = self.bars.market, self.bars.rows
        self.bars.market, self.bars.rows = market, rows or Range(0, market.num_bars)
        try:
            yield
        finally:
            self.bars.market, self.bars.rows = trained_on


class StateInputs(Inputs):
    """The state vector of an environment without a market, as it is.

    Args:
        size: S, numbers of an observation.
    """

    in_keys = ("state",)

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.size = size

    @property
    def width(self) -> int:
        """S."""
        return self.size

    def forward(self, state: Tensor) -> Tensor:
        """Return ``[B, S]`` unchanged."""
        return state


def make_inputs(env: Env, stage: Stage | None) -> Inputs:
    """Return the inputs that fit an environment.

    Raises:
        ConfigError: They take other numbers than the environment declares.
    """
    if isinstance(env, StateEnv):
        return StateInputs(size=env.state_size)
    assert isinstance(env, MarketEnv)
    assert stage is not None
    market = MarketTensors.build(stage.panel, stage.features)
    bars = Bars(market, Range(stage.rows[0].start, stage.rows[-1].stop))
    if isinstance(env, Portfolio):
        from tradewright.algorithm.panel_inputs import PanelInputs  # it is built on what stands here

        inputs: WindowInputs = PanelInputs(env=env, bars=bars)
    else:
        inputs = WindowInputs(env=env, bars=bars)
    declared = env.observation_of(stage.features.names_F, stage.panel.symbols)
    if inputs.width != len(declared):
        raise ConfigError(f"env: declares an observation of {declared}, but the networks take {inputs.width:,}")
    return inputs
