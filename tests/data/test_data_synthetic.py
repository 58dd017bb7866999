"""Generated bars: seeded, valid, with the habits they claim, labelled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.data import generator as g
from tradewright.data.planted_signal import PlantedSignal, read_signal
from tradewright.data.synthetic import Synthetic
from tradewright.data.universe import Universe


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(tmp_path_factory.mktemp("store"))


def log_moves(panel, column=0):
    """Return log(close/open) and log(close/previous close)."""
    move = np.log(panel.close_TN[:, column] / panel.open_TN[:, column])
    return move, np.diff(np.log(panel.close_TN[:, column]))


@pytest.mark.parametrize("option", [Synthetic, Universe, PlantedSignal])
def test_the_same_seed_gives_the_same_bars_and_another_seed_others(store, tmp_path, option):
    keys = {"num_bars": 300, "num_symbols": 2}
    one = option(store=store, seed=3, **keys).panel()
    assert one.fingerprint == option(store=str(tmp_path), seed=3, **keys).panel().fingerprint
    assert one.fingerprint != option(store=store, seed=4, **keys).panel().fingerprint
    assert one.is_synthetic
    assert "Synthetic" in one.note
    assert {instrument.kind for instrument in one.instruments} == {"synthetic"}


@pytest.mark.parametrize("option", [Synthetic, Universe, PlantedSignal])
def test_more_symbols_leave_the_first_ones_as_they_were(store, option):
    few = option(store=store, num_bars=200, num_symbols=2).panel()
    many = option(store=store, num_bars=200, num_symbols=70).panel().close_TN
    symbols = option(store=store, num_bars=200, num_symbols=70).panel().symbols
    for column, symbol in enumerate(few.symbols):
        np.testing.assert_array_equal(few.close_TN[:, column], many[:, symbols.index(symbol)])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    timeframe=st.sampled_from(["1m", "5m", "1h", "1d", "1w"]),
    calendar=st.sampled_from(["equity", "crypto", "forex"]),
    volatility=st.floats(0.01, 2.0),
    signal=st.floats(-0.9, 0.9),
)
def test_every_bar_is_consistent(store, seed, timeframe, calendar, volatility, signal):
    keys = {"timeframe": timeframe, "calendar": calendar, "volatility": volatility, "signal_strength": signal}
    source = Synthetic(store=store, num_bars=120, seed=seed, **keys)
    _, (o, h, low, c, v) = source._generate(source._clock())
    assert np.isfinite([o, h, low, c, v]).all()
    assert (low > 0).all()
    assert (h >= np.maximum(o, c)).all()
    assert (low <= np.minimum(o, c)).all()
    assert (v >= 1).all()
    assert (v == np.rint(v)).all()


def test_the_path_has_the_volatility_and_growth_asked_for(store):
    panel = Synthetic(store=store, num_bars=60_000, volatility=0.25, drift=0.08, seed=5).panel()
    _, returns = log_moves(panel)
    assert returns.std() * np.sqrt(252) == pytest.approx(0.25, rel=0.06)
    assert returns.mean() * 252 == pytest.approx(0.08 - 0.25**2 / 2, abs=0.04)  # standard error 0.016


def test_returns_have_fat_tails_and_clustered_volatility(store):
    _, returns = log_moves(Synthetic(store=store, num_bars=20_000, seed=6).panel())
    standard = (returns - returns.mean()) / returns.std()
    assert (standard**4).mean() > 4
    size = np.abs(standard)
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.08
    assert abs(np.corrcoef(standard[1:], standard[:-1])[0, 1]) < 0.03


@pytest.mark.parametrize("strength", [-0.4, 0.0, 0.3])
def test_signal_strength_is_the_autocorrelation_of_moves(store, strength):
    move, _ = log_moves(
        Synthetic(store=store, num_bars=20_000, signal_strength=strength, volatility=0.2, seed=7).panel()
    )
    signs = np.sign(move - np.median(move))
    # For a Gaussian AR(1), corr(sign, next sign) = 2/pi arcsin(rho): unlike the raw one it ignores volatility clusters.
    assert np.corrcoef(signs[1:], signs[:-1])[0, 1] == pytest.approx(2 / np.pi * np.arcsin(strength), abs=0.03)


def test_a_signal_can_be_earned_after_the_close_and_none_cannot(store):
    """Hold from the next open to its close in the direction of the last move."""
    for strength, low, high in ((0.3, 3.0, 9.0), (0.0, -1.0, 1.0)):
        move, _ = log_moves(
            Synthetic(store=store, num_bars=10_000, signal_strength=strength, drift=0.0, seed=8).panel()
        )
        earned = np.sign(move[:-1]) * move[1:]
        assert low < earned.mean() / earned.std() * np.sqrt(252) < high


def test_gaps_fall_between_sessions(store):
    panel = Synthetic(store=store, num_bars=39_000, timeframe="1m", seed=9).panel()
    gap = np.log(panel.open_TN[1:, 0] / panel.close_TN[:-1, 0])
    starts = np.diff(panel.ts_T) > np.timedelta64(1, "m")
    assert starts.sum() == 99
    assert np.abs(gap[starts]).mean() > 2 * np.abs(gap[~starts]).mean()
    assert {str(ts)[11:16] for ts in panel.ts_T[::390]} == {"14:30"}
    assert {str(ts)[11:16] for ts in panel.ts_T[389::390]} == {"20:59"}


@pytest.mark.parametrize(
    ("length_s", "calendar", "first", "per_day"),
    [
        (60, "equity", "14:30", 390),
        (3600, "equity", "14:00", 7),
        (60, "crypto", "00:00", 1440),
        (3600, "forex", "00:00", 24),
    ],
)
def test_the_clock_fills_sessions(length_s, calendar, first, per_day):
    clock = g.trading_clock(4 * per_day, length_s, calendar, 252.0)
    assert (np.diff(clock.ts_T) > np.timedelta64(0)).all()
    assert str(clock.ts_T[0])[11:16] == first
    assert len(np.unique(clock.ts_T.astype("datetime64[D]"))) == 4
    assert clock.bars_per_year == 252.0 * per_day
    is_weekday = np.is_busday(clock.ts_T.astype("datetime64[D]"))
    assert is_weekday.all() or calendar == "crypto"


def test_garch_equals_a_plain_loop():
    shocks = np.random.default_rng(0).standard_normal(500)
    h = [1.0]
    for z in shocks[:-1]:
        h.append(0.02 + 0.08 * z * z * h[-1] + 0.90 * h[-1])
    np.testing.assert_allclose(g.garch(shocks), np.sqrt(h), rtol=1e-12)


def test_regimes_have_unit_mean_square():
    level = g.regimes(400_000, np.random.default_rng(1))
    assert len(np.unique(level)) == 2
    assert (level**2).mean() == pytest.approx(1.0, abs=0.05)


def test_stocks_of_a_universe_share_a_market(store):
    panel = Universe(store=store, num_symbols=60).panel()
    returns = np.diff(np.log(panel.close_TN), axis=0)
    correlation = np.corrcoef(returns.T)
    mean = correlation[~np.eye(60, dtype=bool)].mean()
    assert 0.08 < mean < 0.4
    largest = np.linalg.eigvalsh(correlation)[-1]
    assert largest > 5  # one factor stands out; 60 independent columns give (1 + sqrt(60/2499))^2 = 1.33


def test_late_listings_are_not_tradable_before_they_list(store):
    panel = Universe(store=store, num_symbols=64, num_bars=500, late_listings=0.5).panel()
    first = panel.tradable_TN.argmax(axis=0)
    assert 15 < (first > 0).sum() < 50
    for column, start in enumerate(first):
        assert panel.tradable_TN[start:, column].all()
        assert np.isnan(panel.close_TN[:start, column]).all()


@pytest.mark.row("B47")
@pytest.mark.slow
def test_a_universe_of_1677_stocks_ingests_and_aligns(store):
    source = Universe(store=store, num_symbols=1_677)
    assert source.ingest().num_bars == 1_677 * 2_500
    panel = source.panel()
    assert panel.close_TN.shape == (2_500, 1_677)
    assert panel.tradable_TN.all()


@pytest.mark.parametrize(
    ("keys", "start"),
    [({"num_bars": 1}, "num_bars must be >= 2, was 1"), ({"num_symbols": 0}, "num_symbols must be >= 1"),
     ({"seed": -1}, "seed must be >= 0"), ({"volatility": 0.0}, "volatility must be > 0"),
     ({"signal_strength": 1.0}, r"signal_strength must be in \(-1, 1\), was 1.0")],
)  # fmt: skip
def test_a_wrong_parameter_is_named(keys, start):
    with pytest.raises(ValueError, match="^" + start):
        Synthetic(**keys)


def test_planted_signal_tells_the_next_move_as_well_as_it_says_and_nothing_else_does(store):
    """Signal of variance 1 and its autocorrelation; the move after it correlates with it, the move beside it less."""
    panel = PlantedSignal(store=store, num_bars=4_000, num_symbols=8, signal_strength=0.35, persistence=0.9).panel()
    signal_TN = read_signal(panel, 0.16)[1:]
    move_TN = np.log(panel.close_TN / panel.open_TN)[1:]

    def correlation(x, y):
        return np.corrcoef(x.ravel(), y.ravel())[0, 1]

    assert signal_TN.std() == pytest.approx(1.0, abs=0.05)
    assert correlation(signal_TN[:-1], signal_TN[1:]) == pytest.approx(0.9, abs=0.01)
    assert correlation(signal_TN[:-1], move_TN[1:]) == pytest.approx(0.35, abs=0.02)
    left_TN = move_TN[1:] - 0.35 * 0.16 / np.sqrt(252) * signal_TN[:-1]
    assert abs(correlation(left_TN, signal_TN[1:])) < 0.02
    assert abs(correlation(left_TN[1:], left_TN[:-1])) < 0.02
    assert move_TN.std() == pytest.approx(0.16 / np.sqrt(252), rel=0.02)


def test_planted_signal_of_no_strength_is_a_random_walk(store):
    panel = PlantedSignal(store=store, num_bars=4_000, num_symbols=8, signal_strength=0.0).panel()
    signal_TN, move_TN = read_signal(panel, 0.16)[1:], np.log(panel.close_TN / panel.open_TN)[1:]
    assert abs(np.corrcoef(signal_TN[:-1].ravel(), move_TN[1:].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"volatility": 0.0}, "volatility must be > 0, was 0.0"),
        ({"signal_strength": 1.0}, r"signal_strength must be in \(-1, 1\), was 1.0"),
        ({"persistence": -1.0}, r"persistence must be in \(-1, 1\), was -1.0"),
    ],
)
def test_planted_signal_refuses_bad_arguments(store, keys, message):
    with pytest.raises(ValueError, match=message):
        PlantedSignal(store=store, **keys)
