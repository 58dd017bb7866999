"""Group ``risk``: each filter blocks what it must, names why, and sizes add up to the cap and no further."""

import numpy as np
import pytest

from swap_cases import make_tape, panel_of_tape, random_swap_panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.market.rules import AccountRules
from tradewright.risk.decisions import Decisions, count_reasons
from tradewright.risk.filter import RiskFilter, is_within, simulated_slippage

NAN = np.nan
OPEN = {"max_slippage_bps": None, "confidence_threshold": None}


def decide(*sides: float, size: float = 0.05, confidence: float | list[float] = NAN) -> Decisions:
    side_R = np.array(sides, dtype=np.float64)
    return Decisions(
        side_R=side_R,
        size_R=np.full(len(sides), size),
        confidence_R=np.broadcast_to(np.float64(confidence), side_R.shape),
    )


@pytest.fixture(scope="module")
def flat():
    """Eight bars at 100 with a trade of one token each."""
    return panel_of_tape(make_tape([100.0] * 8, liquidity=1e6))


def run(risk: RiskFilter, decisions: Decisions, panel):
    positions, blocked = risk.apply(decisions, panel, Range(0, len(decisions.side_R)))
    return positions.weights_TN[:, 0], blocked


@pytest.mark.row("R23")
@pytest.mark.row("X6")
def test_entries_add_up_to_the_cap_and_are_cut_there(flat) -> None:
    """8 % + 8 % is 16 %, the cap 10 %: the second entry is cut to 2 %, the third to nothing."""
    weights, blocked = run(RiskFilter(**OPEN), decide(1, 1, 0, 1, -1, size=0.08), flat)
    np.testing.assert_allclose(weights, [0.08, 0.1, NAN, NAN, 0.02])
    assert [(one.bar, one.reason) for one in blocked] == [(1, "position_limit"), (3, "position_limit")]
    assert [one.allowed for one in blocked] == [pytest.approx(0.02), 0.0]
    assert blocked[0].limit == 0.1


@pytest.mark.row("R23")
def test_two_entries_of_five_percent_fill_the_cap(flat) -> None:
    weights, blocked = run(RiskFilter(**OPEN), decide(1, 1, 1), flat)
    np.testing.assert_allclose(weights, [0.05, 0.1, NAN])
    assert len(blocked) == 1


def test_sells_take_away_what_is_held_and_no_more(flat) -> None:
    weights, blocked = run(RiskFilter(**OPEN), decide(-1, 1, -1, -1, size=0.08), flat)
    np.testing.assert_allclose(weights, [NAN, 0.08, 0.0, NAN])
    assert [(one.bar, one.reason) for one in blocked] == [(0, "nothing_held"), (3, "nothing_held")]
    short, cut = run(RiskFilter(**OPEN, allow_short=True), decide(-1, -1, -1, size=0.08), flat)
    np.testing.assert_allclose(short, [-0.08, -0.1, NAN])
    assert cut[0].limit == -0.1


@pytest.mark.row("R38")
@pytest.mark.row("X11")
def test_unsure_decisions_become_hold_and_undecided_ones_no_order(flat) -> None:
    decisions = decide(1, 1, 1, NAN, 0, confidence=[0.59, 0.6, NAN, NAN, 0.9])
    weights, blocked = run(RiskFilter(max_slippage_bps=None), decisions, flat)
    np.testing.assert_allclose(weights, [NAN, 0.05, 0.1, NAN, NAN])
    assert [(one.bar, one.reason, one.value, one.limit) for one in blocked] == [(0, "confidence", 0.59, 0.6)]
    stricter, _ = run(RiskFilter(max_slippage_bps=None, confidence_threshold=0.7), decisions, flat)
    assert np.isnan(stricter[1])  # of the experiment, not of the code


def test_entries_keep_their_confidence_for_the_report(flat) -> None:
    risk = RiskFilter(max_slippage_bps=None)
    positions, _ = risk.apply(decide(1, 0, 1, -1, -1, confidence=[0.8, 0.7, 0.9, 0.95, 0.65]), flat, Range(0, 5))
    np.testing.assert_array_equal(positions.weights_TN[:, 0], [0.05, NAN, 0.1, 0.05, 0.0])
    np.testing.assert_array_equal(positions.confidence_TN[:, 0], [0.8, NAN, 0.9, NAN, NAN])  # entries alone
    without, _ = risk.apply(decide(1, 0), flat, Range(0, 2))
    assert without.confidence_TN is None


@pytest.mark.row("R20")
def test_volatility_outside_its_limits_blocks() -> None:
    panel = panel_of_tape(make_tape([100.0, 101.0, 100.0, 101.0, 101.0, 101.0, 101.0]))
    few = {**OPEN, "window": 2}
    weights, blocked = run(RiskFilter(**few, max_volatility=0.005), decide(0, 0, 1, 0, 0, 0, 1), panel)
    np.testing.assert_allclose(weights, [NAN, NAN, NAN, NAN, NAN, NAN, 0.05])
    assert (blocked[0].reason, blocked[0].limit) == ("max_volatility", 0.005)
    assert blocked[0].value == pytest.approx(np.std([0.01, 100 / 101 - 1]))
    weights, blocked = run(RiskFilter(**few, min_volatility=0.005), decide(0, 1, 1, 0, 0, 0, 1), panel)
    np.testing.assert_allclose(weights, [NAN, NAN, 0.05, NAN, NAN, NAN, NAN])
    assert [(one.bar, one.reason) for one in blocked] == [(1, "min_volatility"), (6, "min_volatility")]
    assert np.isnan(blocked[0].value)  # not known yet is no pass


@pytest.mark.row("R21")
def test_a_swap_that_took_too_much_of_the_pool_blocks() -> None:
    """The pool holds 10,000 tokens; 30 of them are 0.3 %."""
    panel = panel_of_tape(make_tape([100.0] * 3, [1.0, -30.0, 1.0], liquidity=1e5))
    weights, blocked = run(RiskFilter(**OPEN, max_liquidity_impact=0.002), decide(1, 1, 1, size=0.02), panel)
    np.testing.assert_allclose(weights, [0.02, NAN, 0.04])
    assert (blocked[0].reason, blocked[0].value) == ("liquidity_impact", pytest.approx(0.003))


@pytest.mark.row("R22")
@pytest.mark.parametrize(
    ("hours", "timezone", "expected"),
    [
        ("08:00-22:00", "UTC", [False, True, True, False]),
        ("22:00-08:00", "UTC", [True, False, False, True]),
        ("09:30-16:00", "America/New_York", [False, False, True, False]),
    ],
)
def test_hours_are_those_of_their_zone(hours: str, timezone: str, expected: list[bool]) -> None:
    """New York is five hours behind UTC in winter: 14:30 UTC is its opening."""
    instants = np.array(
        ["2023-01-03T07:59:59", "2023-01-03T08:00:00", "2023-01-03T14:30:00", "2023-01-03T22:00:00"],
        dtype="datetime64[us]",
    )
    np.testing.assert_array_equal(is_within(instants, hours, timezone), expected)


@pytest.mark.row("R22")
def test_daylight_saving_moves_the_hours() -> None:
    opening = np.array(["2023-07-03T13:30:00", "2023-01-03T13:30:00"], dtype="datetime64[us]")
    np.testing.assert_array_equal(is_within(opening, "09:30-16:00", "America/New_York"), [True, False])


@pytest.mark.row("R22")
def test_decisions_outside_the_hours_are_blocked(flat) -> None:
    """The bars are known from 00:00:23 UTC on, 19:00 in New York."""
    weights, blocked = run(RiskFilter(**OPEN, hours="08:00-17:00", timezone="America/New_York"), decide(1, 1), flat)
    assert np.isnan(weights).all()
    assert count_reasons(blocked) == {"hours": 2}
    weights, _ = run(RiskFilter(**OPEN, hours="08:00-20:00", timezone="America/New_York"), decide(1, 1), flat)
    np.testing.assert_allclose(weights, [0.05, 0.1])


@pytest.mark.row("R38")
def test_an_order_that_moves_the_pool_too_far_is_rejected() -> None:
    """5,000 buy 50 of 10,000 tokens: 1 / (1 - 0.005) - 1 = 50.25 bps; sold, the same is 49.75 bps."""
    panel = panel_of_tape(make_tape([100.0] * 4, liquidity=1e5))
    risk = RiskFilter(confidence_threshold=None, max_slippage_bps=50.0)
    weights, blocked = run(risk, decide(1, 1, size=0.05), panel)
    assert np.isnan(weights).all()
    assert blocked[0].reason == "slippage"
    assert blocked[0].value == pytest.approx(50.2513, abs=1e-4)
    smaller, none = run(risk, decide(1, 1, size=0.049), panel)
    np.testing.assert_allclose(smaller, [0.049, 0.098])
    assert not none
    short, _ = run(RiskFilter(confidence_threshold=None, allow_short=True), decide(-1, size=0.05), panel)
    np.testing.assert_allclose(short, [-0.05])


def test_simulated_slippage_is_what_the_market_charges() -> None:
    from tradewright.market import step as market

    rules = AccountRules(initial_cash=10_000.0)
    one = np.array([[100.0]])
    bar = market.Bar(one, one, one, one, pool_BN=np.array([1.0 / 1e4]))
    state = market.initial_state(np, rules, 1, 1, mark_N=one[0])
    _, outcome = market.step(np, state, np.array([[0.05]]), bar, rules)
    price = outcome.open.price_BN[0, 0]
    assert price / 100 - 1 == pytest.approx(simulated_slippage(5.0, 1e4 / 10.0), rel=1e-12)
    assert simulated_slippage(5.0, 4.0) == np.inf


def test_the_size_after_the_cap_is_what_slippage_is_simulated_for() -> None:
    panel = panel_of_tape(make_tape([100.0] * 2, liquidity=1e5))
    weights, _ = run(RiskFilter(confidence_threshold=None, max_position_size=0.04), decide(1, size=0.08), panel)
    np.testing.assert_allclose(weights, [0.04])


def test_decisions_know_only_bars_up_to_theirs() -> None:
    panel = random_swap_panel(400)
    sides = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], panel.num_bars)
    decisions = Decisions(side_R=sides, size_R=np.full(len(sides), 0.05), confidence_R=np.full(len(sides), NAN))
    risk = RiskFilter(min_volatility=1e-4, max_volatility=2e-3, max_liquidity_impact=0.02)
    whole, _ = risk.apply(decisions, panel, Range(0, panel.num_bars))
    stop = 150
    part = Decisions(side_R=sides[:stop], size_R=decisions.size_R[:stop], confidence_R=decisions.confidence_R[:stop])
    cut, _ = risk.apply(part, panel.slice(0, stop), Range(0, stop))
    np.testing.assert_array_equal(whole.weights_TN[:stop], cut.weights_TN)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_position_size": 0.0}, "max_position_size must"),
        ({"max_position_size": 1.5}, "max_position_size must"),
        ({"max_slippage_bps": -1.0}, "max_slippage_bps must"),
        ({"min_volatility": 0.2, "max_volatility": 0.1}, "max_volatility must"),
        ({"confidence_threshold": 1.2}, "confidence_threshold must"),
        ({"hours": "8-22"}, "hours must"),
        ({"hours": "08:00-08:00"}, "hours must"),
        ({"timezone": "Mars/Base"}, "timezone must"),
        ({"capital": 0.0}, "capital must"),
        ({"window": 1}, "window must"),
    ],
)
def test_impossible_limits_are_refused_by_name(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        RiskFilter(**keys)


@pytest.mark.row("R43")
def test_malformed_decisions_are_refused(flat) -> None:
    with pytest.raises(DataError, match="one per bar each"):
        Decisions(side_R=np.zeros(3), size_R=np.zeros(2), confidence_R=np.zeros(3))
    with pytest.raises(DataError, match=r"side of row 1 is 2\.0, expected 1, -1, 0 or NaN"):
        decide(1, 2)
    with pytest.raises(DataError, match=r"size of row 0 is 0\.0"):
        decide(1, size=0.0)
    with pytest.raises(DataError, match=r"confidence of row 0 is 1\.5"):
        decide(1, confidence=1.5)
    with pytest.raises(DataError, match="2 for 3 bars"):
        RiskFilter().apply(decide(1, 1), flat, Range(0, 3))
