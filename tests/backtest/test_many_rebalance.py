"""Following weights without a journal gives the account of the backtest with one, whatever happens in a bar.

Legend: T bars, N instruments.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_cases import make_panel, random_panel
from tradewright.backtest.calm import Calm
from tradewright.backtest.rebalance import Held, rebalance
from tradewright.backtest.vectorized import Vectorized
from tradewright.backtest.walk import Walk, limits_of
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import MarketError
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs

STRICT = 1e-12

KINDS = ("full", "part", "credit", "gross one", "gross part", "sparse", "one", "too much")


def random_weights(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    """Weights of a portfolio, daily or with rows and single entries that give no order."""
    part_TN = rng.dirichlet(np.ones(shape[1]), shape[0])
    signed_TN = part_TN * rng.choice([-1.0, 1.0], shape)
    weights_TN = {
        "full": part_TN,
        "part": 0.97 * part_TN,
        "credit": 1.9 * part_TN,
        "gross one": signed_TN,
        "gross part": 0.9 * signed_TN,
        "sparse": np.where(rng.random(shape) < 0.5, 0.0, part_TN),
        "one": np.eye(shape[1])[rng.integers(0, shape[1], shape[0])],
        "too much": 3.0 * signed_TN,
    }[kind]
    if rng.random() < 0.4:
        weights_TN = np.where(rng.random(shape) < 0.3, np.nan, weights_TN)
    if rng.random() < 0.3:
        weights_TN = np.where(rng.random((shape[0], 1)) < 0.6, np.nan, weights_TN)
    return weights_TN


def random_backtester(rng: np.random.Generator) -> Vectorized:
    """Backtesters whose rules the common form knows, and some that it does not."""
    costs = Costs(
        fee_bps=float(rng.choice([0.0, 10.0, 100.0])),
        slippage_bps=float(rng.choice([0.0, 5.0])),
        borrow_rate=float(rng.choice([0.0, 0.1])),
        cash_rate=float(rng.choice([0.0, 0.03, -0.03])),
        fixed_fee=float(rng.choice([0.0, 0.0, 0.0, 1.0])),
    )
    return Vectorized(
        leverage=float(rng.choice([0.5, 1.0, 1.0, 2.0])),
        allow_short=bool(rng.random() < 0.6),
        maintenance_margin=float(rng.choice([0.0, 0.25, 0.6])),
        delay_bars=int(rng.choice([0, 0, 1])),
        stop_loss=0.05 if rng.random() < 0.1 else None,
        costs=costs,
    )


def assert_same_account(held: Held, panel: Panel, backtester: Vectorized, weights_TN: np.ndarray) -> None:
    """Compare with the backtest that keeps a journal."""
    rows = Range(0, panel.num_bars)
    result = backtester.run(panel, Positions(weights_TN=weights_TN), rows, name="journal")
    scale = np.abs(result.equity_T).max()
    np.testing.assert_allclose(held.equity_T, result.equity_T, rtol=STRICT, atol=STRICT * scale)
    np.testing.assert_allclose(held.cash_T, result.cash_T, rtol=STRICT, atol=STRICT * np.abs(result.cash_T).max())
    is_solid_T = np.abs(result.equity_T) > 1e-2 * scale  # a weight is undefined to the digits that equity has lost
    np.testing.assert_allclose(held.weights_TN[is_solid_T], result.weights_TN[is_solid_T], rtol=1e-10, atol=1e-10)
    multipliers = {instrument.symbol: instrument.multiplier for instrument in panel.instruments}
    traded_T = np.zeros(panel.num_bars)
    for fill in result.fills:
        traded_T[fill.bar] += abs(fill.quantity) * fill.price * multipliers[fill.symbol]
    np.testing.assert_allclose(held.traded_T, traded_T, rtol=1e-10, atol=1e-10 * max(1.0, traded_T.max()))
    for kind in ("fees", "slippage", "borrow", "interest"):
        assert held.costs[kind] == pytest.approx(result.costs[kind], rel=1e-9, abs=1e-9 * max(1.0, traded_T.sum())), (
            kind
        )
    assert held.ended_at == result.ended_at


def compare_accounts(seed: int, kind: str, num_bars: int, num: int, volatility: float, missing: float) -> None:
    rng = np.random.default_rng(seed)
    panel = random_panel(seed, num_bars, num, volatility=volatility, missing=missing)
    if rng.random() < 0.3:
        facts = tuple(replace(fact, multiplier=float(rng.choice([1.0, 5.0]))) for fact in panel.instruments)
        panel = replace(panel, instruments=facts)
    backtester, weights_TN = random_backtester(rng), random_weights(rng, kind, (num_bars, num))
    held = rebalance(panel, Range(0, num_bars), backtester.rules, weights_TN)
    assert_same_account(held, panel, backtester, weights_TN)


accounts = given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    num_bars=st.integers(1, 40),
    num=st.integers(2, 30),
    volatility=st.sampled_from([0.001, 0.02, 0.1, 0.3]),
    missing=st.sampled_from([0.0, 0.0, 0.1]),
)

test_account_without_a_journal_is_that_of_the_backtest = settings(max_examples=150, deadline=None, derandomize=True)(
    accounts(compare_accounts)
)

test_account_without_a_journal_is_that_of_the_backtest_in_10_000_markets = pytest.mark.slow(
    settings(max_examples=10_000, deadline=None, derandomize=True)(accounts(compare_accounts))
)


def portfolio(num_bars: int = 60, num: int = 8, **options: float) -> tuple[Panel, np.ndarray]:
    panel = random_panel(3, num_bars, num, **options)
    return panel, np.random.default_rng(3).dirichlet(np.ones(num), num_bars)


@pytest.mark.parametrize(
    ("scale", "rules", "missing"),
    [
        (0.9, AccountRules(costs=Costs(fee_bps=10)), 0.0),
        (1.0, AccountRules(costs=Costs(fee_bps=10)), 0.0),  # purchases are scaled to the cash
        (1.0, AccountRules(costs=Costs(fee_bps=10, slippage_bps=5)), 0.2),  # instruments without a bar
        (1.9, AccountRules(leverage=2.0, costs=Costs(cash_rate=0.05)), 0.0),  # bought on credit
        (0.9, AccountRules(allow_short=False, costs=Costs()), 0.0),
        (3.0, AccountRules(costs=Costs(fee_bps=10)), 0.2),  # cut to the leverage cap
    ],
)
def test_common_bars_do_without_the_bar_step(scale: float, rules: AccountRules, missing: float) -> None:
    panel, weights_TN = portfolio(missing=missing)
    held = rebalance(panel, Range(0, 60), rules, scale * weights_TN)
    assert held.num_stepped == 0


def test_long_and_short_within_the_means_do_without_the_bar_step() -> None:
    panel, weights_TN = portfolio()
    signed_TN = weights_TN * np.where(np.arange(8) % 2, 0.9, -0.9)
    rules = AccountRules(costs=Costs(fee_bps=10, borrow_rate=0.1))
    held = rebalance(panel, Range(0, 60), rules, signed_TN)
    assert held.num_stepped == 0
    assert held.costs["borrow"] > 0
    assert_same_account(held, panel, Vectorized(costs=rules.costs), signed_TN)


def test_only_uncommon_bars_take_the_bar_step() -> None:
    panel, weights_TN = portfolio()
    weights_TN[[10, 20]] *= np.where(np.arange(8) % 2, 1.0, -1.0) / 0.9  # gross 1: no cash for the fees of shorts
    held = rebalance(panel, Range(0, 60), AccountRules(costs=Costs(fee_bps=10)), 0.9 * weights_TN)
    assert held.num_stepped == 2


def test_margin_call_liquidates_at_the_next_open() -> None:
    close_TN = 100.0 * np.array([[1.0, 1.0], [1.0, 1.0], [0.7, 0.7], [0.7, 0.7], [0.8, 0.8], [0.8, 0.8]])
    open_TN = close_TN.copy()
    open_TN[3], close_TN[3] = 90.0, 110.0  # too late: called at the close before
    panel, rows = make_panel(open_TN, close_TN=close_TN), Range(0, 6)
    backtester = Vectorized(leverage=2.0, maintenance_margin=0.4, costs=Costs(fee_bps=10))
    weights_TN = np.array([[0.9, 0.9], *[[np.nan, np.nan]] * 3, [0.5, 0.5], [np.nan, np.nan]])
    held = rebalance(panel, rows, backtester.rules, weights_TN)
    np.testing.assert_array_equal(held.weights_TN[3], 0.0)  # bar 2: 46 of equity, less fees, below 0.4 * 126
    assert held.num_stepped == 2
    assert_same_account(held, panel, backtester, weights_TN)


def test_order_below_rounding_noise_is_no_order() -> None:
    prices_TN = np.full((6, 3), 100.0) * (1.0 + 1e-11 * np.arange(18).reshape(6, 3))
    panel, weights_TN = make_panel(prices_TN), np.full((6, 3), 0.3)
    backtester = Vectorized(costs=Costs())
    held = rebalance(panel, Range(0, 6), backtester.rules, weights_TN)
    np.testing.assert_array_equal(held.traded_T[2:], 0.0)
    assert_same_account(held, panel, backtester, weights_TN)


def test_shares_without_an_order_are_kept_to_the_bit() -> None:
    panel = random_panel(6, 40, 2)
    rules = AccountRules(costs=Costs(fee_bps=10))
    calm = Calm(Walk(panel, Range(0, 40), rules), is_long_only=True)
    held = np.empty(2)
    assert calm.carry(1, np.array([0.4, 0.4]), held)
    first = calm.shares[0]
    for t in range(2, 40):
        assert calm.carry(t, np.array([np.nan, 0.1 + 0.01 * t]), held)
        assert calm.shares[0] == first


def test_bankrupt_account_ends_where_the_backtest_ends() -> None:
    close_TN = np.array([[100.0, 100.0], [100.0, 100.0], [300.0, 100.0], [100.0, 100.0], [100.0, 100.0]])
    panel = make_panel(close_TN)
    weights_TN = np.array([[-0.9, 0.0], *[[np.nan, np.nan]] * 4])
    held = rebalance(panel, Range(0, 5), AccountRules(costs=Costs()), weights_TN)
    assert held.ended_at == 2
    assert held.equity_T[-1] == pytest.approx(100_000 - 90_000 * 2)
    assert_same_account(held, panel, Vectorized(costs=Costs()), weights_TN)


def test_money_is_conserved_by_hand() -> None:
    # Half in each at 10 and 20; the first doubles, then half of everything is sold. Fee 1 %.
    panel = make_panel([[10.0, 20.0], [10.0, 20.0], [20.0, 20.0]])
    rules = AccountRules(initial_cash=1_000.0, costs=Costs(fee_bps=100.0))
    weights_TN = np.array([[0.4, 0.4], [0.0, 0.4], [np.nan, np.nan]])
    held = rebalance(panel, Range(0, 3), rules, weights_TN)
    equity_1 = 1_000 - 8.0  # 800 bought
    open_2 = equity_1 + 400  # 40 shares at 20
    bought = 0.4 * open_2 - 400
    np.testing.assert_allclose(held.traded_T, [0.0, 800.0, 800.0 + bought], rtol=1e-14)
    np.testing.assert_allclose(held.equity_T, [1_000.0, equity_1, open_2 - 8.0 - 0.01 * bought], rtol=1e-14)
    assert held.costs["fees"] == pytest.approx(16.0 + 0.01 * bought, rel=1e-14)
    np.testing.assert_allclose(held.weights_TN[1], [400 / 992, 400 / 992], rtol=1e-14)
    assert held.weights_TN[2, 0] == 0.0


def test_no_order_keeps_shares_and_pays_nothing() -> None:
    panel, weights_TN = portfolio()
    weights_TN[1:] = np.nan
    held = rebalance(panel, Range(0, 60), AccountRules(costs=Costs(fee_bps=10)), 0.9 * weights_TN)
    np.testing.assert_array_equal(held.traded_T[2:], 0.0)
    shares_TN = held.weights_TN * held.equity_T[:, None] / panel.close_TN
    np.testing.assert_allclose(shares_TN[1:], np.broadcast_to(shares_TN[1], (59, 8)), rtol=1e-12)


@pytest.mark.parametrize(("at", "value"), [((5, 2), np.inf), ((5, 2), -2e6), ((59, 7), 1e7)])
def test_weight_that_no_account_can_hold_is_refused(at: tuple[int, int], value: float) -> None:
    panel, weights_TN = portfolio()
    weights_TN[at] = value
    with pytest.raises(MarketError, match=rf"S{at[1]}: weight of row {at[0]}"):
        rebalance(panel, Range(0, 60), AccountRules(), weights_TN)


def test_weights_of_another_shape_or_type_are_refused() -> None:
    panel, weights_TN = portfolio()
    with pytest.raises(MarketError, match="shape"):
        rebalance(panel, Range(0, 60), AccountRules(), weights_TN[1:])
    with pytest.raises(MarketError, match="float64"):
        rebalance(panel, Range(0, 60), AccountRules(), weights_TN.astype(np.float32))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("column", ["open_TN", "high_TN", "low_TN", "close_TN"])
def test_price_of_an_existing_bar_must_be_a_price(column: str, value: float) -> None:
    panel, weights_TN = portfolio()
    getattr(panel, column)[17, 3] = value
    with pytest.raises(MarketError, match=rf"S3: {column[:-3]} of the bar at 2020-01-18"):
        rebalance(panel, Range(0, 60), AccountRules(), weights_TN)


def test_limits_pass_over_missing_values() -> None:
    x_TN = np.random.default_rng(0).normal(size=(300, 400))
    x_TN[::3, ::2] = np.nan
    x_TN[:100] = np.nan
    assert limits_of(x_TN) == (np.nanmin(x_TN), np.nanmax(x_TN))
