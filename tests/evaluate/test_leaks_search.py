"""The search itself: which bar is blamed, what counts as equal, where is cut, and when there is no verdict."""

from dataclasses import fields, replace

import numpy as np
import pytest
from leak_markets import daily, intraday, shifted, trailing

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.evaluate.leak_cuts import choose_cuts, cut_range
from tradewright.evaluate.leak_search import Check, find_leaks
from tradewright.evaluate.leak_values import as_values, compare
from tradewright.evaluate.leak_worlds import Table, Worlds

SEEDS = range(3)


def search(compute, panel: Panel | None = None, seed: int = 0, **settings) -> Check:
    rng = np.random.default_rng(seed)
    return find_leaks(compute, daily(seed) if panel is None else panel, kind="feature", rng=rng, **settings)


def test_leak_names_feature_symbol_bar_and_reach() -> None:
    def compute(panel: Panel):
        close = panel.close_TN.copy()
        close[:, 2] = shifted(panel.close_TN, -3)[:, 2]
        return {"clean": panel.close_TN, "leaky": close}

    panel = daily(1, num_symbols=4)
    check = search(compute, panel, warmup_bars=20)
    (leak,) = check.leaks
    assert (leak.name, leak.symbol, leak.kind) == ("leaky", "S2", "feature")
    cut = int(np.flatnonzero(panel.ts_T == leak.cut_ts)[0])
    row = int(np.flatnonzero(panel.ts_T == leak.ts)[0])
    assert cut in check.cuts
    assert cut - 3 < row <= cut  # the last three bars before a cut look beyond it, no other
    assert leak.reach_bars == 3
    assert leak.before == panel.close_TN[row + 3, 2]
    assert leak.first_ts == panel.ts_T[check.cuts[0] - 2]


def test_largest_change_of_a_culprit_is_reported() -> None:
    """One leaking bar in forty is a thousand times larger than the others."""

    def compute(panel: Panel):
        ahead = np.nan_to_num(shifted(panel.close_TN, -1) - panel.close_TN)
        return {"x": np.where(np.arange(panel.num_bars)[:, None] == 200, 1000.0, 1.0) * ahead}

    panel = daily(0)
    (leak,) = find_leaks(
        compute, panel, kind="feature", rng=np.random.default_rng(0), rows=Range(196, 204), num_cuts=8
    ).leaks
    assert leak.ts == panel.ts_T[200]
    assert leak.first_ts == panel.ts_T[196]


@pytest.mark.parametrize("reach", [0, 1, 4])
def test_label_is_allowed_exactly_its_reach(reach: int) -> None:
    def label(panel: Panel):
        return {"y": shifted(panel.close_TN, -reach) if reach else panel.close_TN}

    assert search(label, reach_bars=reach).is_clean
    if reach:
        assert search(label, reach_bars=reach - 1).leaks[0].reach_bars == 1 + reach - 1


def test_rounding_is_no_leak_but_a_small_dependence_is() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    assert compare(values, values * (1 + 1e-12), 50) is None
    found = compare(values, values + 1e-6 * (np.arange(50)[:, None] == 30), 50)
    assert found is not None
    assert found.first_row == found.row == 30
    assert compare(values, values + 1e-6 * (np.arange(50)[:, None] == 30), 30) is None
    short = values.astype(np.float32)
    assert compare(short, np.nextafter(short, np.float32(9)), 50) is None
    assert compare(short, short * np.float32(1.0001), 50) is not None


def test_tolerance_follows_the_scale_of_each_column() -> None:
    values = np.stack([np.full(10, 1e-8), np.full(10, 1e8)], axis=1)
    moved = values.copy()
    moved[3, 0] *= 1.01
    found = compare(values, moved, 10)
    assert found is not None
    assert (found.row, found.column) == (3, 0)
    assert found.size == pytest.approx(0.01 / 1.01)


@pytest.mark.parametrize(
    ("before", "after", "is_equal"),
    [
        (np.nan, np.nan, True),
        (np.nan, 1.0, False),
        (1.0, np.nan, False),
        (np.inf, np.inf, True),
        (np.inf, -np.inf, False),
        (0.0, -0.0, True),
        (0.0, 1e-3, False),
        (3, 3, True),
        (3, 4, False),
        (True, False, False),
    ],
)
def test_equality_of_single_values(before, after, is_equal: bool) -> None:
    found = compare(np.array([before] * 4), np.array([before, before, after, before]), 4)
    assert (found is None) is is_equal
    if found is not None:
        assert (found.row, found.size > 0) == (2, True)


def test_texts_are_compared_and_shown_where_they_part() -> None:
    same = "x" * 200
    values = as_values({"prompt": [same + "up", same + "down"]}, 2)["prompt"]
    other = as_values({"prompt": [same + "up", same + "up"]}, 2)["prompt"]
    found = compare(values, other, 2)
    assert found is not None
    assert found.row == 1
    assert str(found.before).endswith("xdown")
    assert str(found.after).endswith("xup")
    assert len(str(found.before)) < 70
    assert compare(values, other, 1) is None
    mixed = np.array(["a", float("nan"), None], dtype=object)
    assert compare(mixed, np.array(["a", float("nan"), None], dtype=object), 3) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_cuts_lie_one_per_stratum_and_away_from_the_ends(seed: int) -> None:
    values = {"x": np.random.default_rng(seed).normal(size=(400, 1))}
    rows = cut_range(400, 50, 8, "x")
    assert (rows.start, rows.stop) == (50, 349)
    cuts = choose_cuts(values, rows, 8, np.random.default_rng(seed))
    assert len(cuts) == 8
    assert [int((cut - 50) / (299 / 8) + 0.03) for cut in cuts] == list(range(8))


def test_rare_values_are_cut_where_they_change_and_just_before() -> None:
    flag = np.zeros((400, 1))
    flag[[123, 124, 300]] = 1.0
    cuts = choose_cuts({"x": flag}, Range(50, 350), 8, np.random.default_rng(0))
    assert {122, 123, 124, 125, 299, 300, 301} <= set(cuts)
    orders = np.where(flag == 1, flag, np.nan)
    assert {122, 123} <= set(choose_cuts({"x": orders}, Range(50, 350), 8, np.random.default_rng(0)))


def test_too_few_bars_are_refused_with_the_numbers() -> None:
    with pytest.raises(DataError, match="features: 60 bars leave 4 for 8 cuts after a warm-up of 55; use more data"):
        cut_range(60, 55, 8, "features")
    assert cut_range(70, 55, 8, "features") == Range(55, 69)


def test_fewer_than_eight_cuts_are_refused() -> None:
    with pytest.raises(ValueError, match="num_cuts must be >= 8, was 7"):
        search(lambda panel: {"x": panel.close_TN}, num_cuts=7)


# No verdict ---------------------------------------------------------------------------------------------------------


def test_function_that_fails_on_shorter_data_gets_no_verdict() -> None:
    def compute(panel: Panel):
        return {"x": panel.close_TN, "shape": len(panel.close_TN[400])}

    check = search(compute)
    assert check.leaks == ()
    assert "cannot be checked: IndexError on the bars up to 2001-" in check.faults[0]


def test_function_that_draws_random_numbers_is_called_not_deterministic() -> None:
    rng = np.random.default_rng(0)
    check = search(lambda panel: {"x": panel.close_TN + rng.normal()})
    assert check.leaks == ()
    assert "feature is not deterministic: 'x' is " in check.faults[0]


def test_function_that_remembers_what_it_saw_is_called_not_deterministic() -> None:
    seen: list[float] = []

    def compute(panel: Panel):
        seen.append(float(panel.close_TN.max()))
        return {"x": panel.close_TN / max(seen)}

    assert "not deterministic" in search(compute).faults[0]


def test_function_that_writes_into_the_bars_gets_no_verdict_and_spoils_nothing() -> None:
    panel = daily(0)
    before = panel.close_TN.copy()

    def compute(panel: Panel):
        panel.close_TN[0] = 1.0
        return {"x": panel.close_TN}

    with pytest.raises(ValueError, match="read-only"):
        search(compute, panel)
    assert np.array_equal(panel.close_TN, before)
    assert panel.close_TN.flags.writeable


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda panel: panel.close_TN, "returned ndarray, expected a dict of values by name"),
        (lambda panel: {"x": panel.close_TN[1:]}, "returned 419 rows of 'x' for 420 bars, expected one per bar"),
    ],
)
def test_malformed_results_get_no_verdict(returned, message: str) -> None:
    assert search(returned).faults == (f"feature: {message}",)


def test_names_that_come_and_go_get_no_verdict() -> None:
    def compute(panel: Panel):
        return {"x": panel.close_TN, **({"late": panel.close_TN} if panel.num_bars == 420 else {})}

    assert "late not in all results; missing on the bars up to 2001-" in search(compute).faults[0]


def test_cache_under_the_fingerprint_hides_no_leak() -> None:
    cache: dict[str, np.ndarray] = {}

    def compute(panel: Panel):
        key = f"{panel.fingerprint}"
        cache.setdefault(key, panel.close_TN / panel.close_TN[-1])
        return {"x": cache[key]}

    assert search(compute).leaks


def test_result_that_is_overwritten_by_the_next_call_hides_no_leak() -> None:
    buffer = np.zeros((420, 1))

    def compute(panel: Panel):
        out = buffer[: panel.num_bars]
        out[:] = panel.close_TN - panel.close_TN.mean()
        return {"x": out}

    assert search(compute).leaks


# Worlds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gaps", [False, True])
def test_perturbed_markets_are_valid_and_keep_the_past(seed: int, gaps: bool) -> None:
    panel, cut = daily(seed, num_symbols=4, gaps=gaps), 200
    worlds = Worlds(panel, {}, np.random.default_rng(seed))
    pair = [world for world, _ in worlds.perturbed(cut)]
    for world in pair:
        assert world.num_bars == panel.num_bars
        assert np.array_equal(world.ts_T, panel.ts_T)
        assert world.fingerprint != panel.fingerprint
        for name in ("open_TN", "high_TN", "low_TN", "close_TN", "volume_TN", "tradable_TN"):
            fresh, old = getattr(world, name), getattr(panel, name)
            assert np.array_equal(fresh[: cut + 1], old[: cut + 1], equal_nan=name != "tradable_TN"), name
        exists = world.tradable_TN
        assert exists.any(axis=1).all()
        assert exists.all() or gaps
        for name in ("open_TN", "high_TN", "low_TN", "close_TN"):
            assert np.array_equal(np.isfinite(getattr(world, name)), exists)
        o, h, low, c = (getattr(world, f"{name}_TN")[exists] for name in ("open", "high", "low", "close"))
        assert (low > 0).all()
        assert (h >= np.maximum(o, c)).all()
        assert (low <= np.minimum(o, c)).all()
        assert (world.volume_TN >= 0).all()
        assert (world.volume_TN[~exists] == 0).all()
    up, down = (np.nan_to_num(world.close_TN[cut + 1], nan=1.0) for world in pair)
    traded = pair[0].tradable_TN[cut + 1] & pair[1].tradable_TN[cut + 1]
    last = np.array([x[np.isfinite(x)][-1] for x in panel.close_TN[: cut + 1].T])
    assert ((up > last) != (down > last))[traded].all()  # what is above in one world is below in the other


def test_every_array_of_a_panel_is_cut_and_replaced() -> None:
    """A field that is added to the panel must not carry the future past the detector."""
    bars = daily(0, num_symbols=2)
    shape = bars.close_TN.shape
    rng = np.random.default_rng(0)
    finer = intraday(0, num_sessions=420, num_symbols=2)
    panel = replace(
        bars,
        split_TN=np.where(rng.random(shape) < 0.1, 2.0, 1.0),
        dividend_TN=np.where(rng.random(shape) < 0.1, 0.5, 0.0),
        borrow_TN=rng.uniform(0.01, 0.1, shape),
        funding_TN=rng.normal(0.0, 1e-4, shape),
        roll_from_TN=np.where(rng.random(shape) < 0.1, bars.close_TN, np.nan),
        finer=finer,
    )
    panel = replace(panel, roll_to_TN=panel.roll_from_TN * 1.01)
    cut = 200
    worlds = Worlds(panel, {}, np.random.default_rng(1))
    short, _ = worlds.truncated(cut)
    assert short.num_bars == cut + 1
    assert short.finer is not None
    assert short.finer.known_at_T[-1] <= panel.known_at_T[cut]
    for world, _ in worlds.perturbed(cut):
        for entry in fields(Panel):
            old, fresh = getattr(panel, entry.name), getattr(world, entry.name)
            if isinstance(old, np.ndarray) and entry.name not in ("ts_T", "known_at_T", "tradable_TN"):
                assert np.array_equal(old[: cut + 1], fresh[: cut + 1], equal_nan=True), entry.name
                assert not np.array_equal(old[cut + 1 :], fresh[cut + 1 :], equal_nan=True), entry.name
                assert not fresh.flags.writeable
        assert world.finer is not None
        known = finer.known_at_T <= panel.known_at_T[cut]
        assert np.array_equal(world.finer.close_TN[known], finer.close_TN[known])
        assert not (world.finer.close_TN[~known] == finer.close_TN[~known]).any()
        row = np.searchsorted(panel.ts_T, finer.ts_T[~known], side="right") - 1
        assert (world.finer.high_TN[~known] <= world.high_TN[row]).all()
        assert (world.finer.low_TN[~known] >= world.low_TN[row]).all()


def test_events_of_the_future_are_a_leak() -> None:
    bars = daily(3)
    paid = np.where(np.arange(420)[:, None] % 21 == 0, 0.4, 0.0)
    panel = replace(bars, dividend_TN=paid)
    assert search(lambda panel: {"x": shifted(panel.dividend_TN, -1)}, panel).leaks
    assert search(lambda panel: {"x": np.nan_to_num(panel.dividend_TN)}, panel).is_clean
    assert search(lambda panel: {"x": panel.for_signals().close_TN}, panel).is_clean


def test_tables_are_cut_at_what_is_known() -> None:
    panel, known = daily(0), daily(0).known_at_T[::30]
    table = Table(
        known_at_E=known,
        values={
            "number": np.arange(14.0),
            "count": np.arange(14),
            "text": np.array([f"n{i}" for i in range(14)]),
        },
    )
    worlds = Worlds(panel, {"t": table}, np.random.default_rng(0))
    now = panel.known_at_T[100]
    later = known > now
    assert worlds.truncated(100)[1]["t"].known_at_E.tolist() == known[~later].tolist()
    for _, tables in worlds.perturbed(100):
        for name, column in table.values.items():
            fresh = tables["t"].values[name]
            assert fresh.dtype.kind == column.dtype.kind
            assert np.array_equal(fresh[~later], column[~later])
            assert not (fresh[later] == column[later]).any(), name


def test_same_seed_gives_the_same_findings() -> None:
    def compute(panel: Panel):
        return {"x": panel.close_TN - panel.close_TN.mean(), "y": trailing(panel.close_TN, 5, np.mean)}

    assert search(compute, seed=4) == search(compute, seed=4)
