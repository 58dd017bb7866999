"""How long loading, reading and aggregating bars takes; budgets leave room for a busy two-core machine."""

import time
from collections.abc import Callable

import duckdb
import numpy as np
import pytest

from tradewright.data.csv import Csv
from tradewright.data.nasdaq import Nasdaq
from tradewright.data.resample import align, resample
from tradewright.data.synthetic import Synthetic
from tradewright.data.universe import Universe

pytestmark = pytest.mark.benchmark


def best_s(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the shortest of several wall times in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def report(name: str, seconds: float, budget_s: float) -> None:
    """Print a measurement and hold it against its budget."""
    print(f"{name}: {seconds * 1000:,.1f} ms (budget {budget_s * 1000:,.0f} ms)")
    assert seconds < budget_s


def test_nasdaq_is_ingested_cold_and_read_warm(tmp_path):
    stores = iter(range(100))
    report("ingest nasdaq, cold", best_s(lambda: Nasdaq(store=str(tmp_path / str(next(stores)))).ingest(), 3), 2.0)
    source = Nasdaq(store=str(tmp_path / "0"))
    path = str(tmp_path / "0" / "bars" / "nasdaq.duckdb")
    opening = best_s(lambda: duckdb.connect(path, read_only=True).close(), 10)
    whole = best_s(source.panel, 10)
    report("open the store", opening, 0.2)
    report("panel of 5,031 bars, beyond opening", whole - opening, 0.03)


def test_a_million_minutes_are_checked_read_and_aggregated(tmp_path):
    stamps = "strftime(TIMESTAMP '2000-01-03' + to_minutes(i::INTEGER), '%Y-%m-%d %H:%M:%S')"
    path = tmp_path / "SYN.csv"
    duckdb.sql(
        f"COPY (SELECT {stamps} AS ts, 100 + i % 7 AS open, 110 AS high, 90 AS low, 100 + i % 5 AS close, 1 AS volume "
        f"FROM range(1000000) t(i)) TO '{path}' (HEADER)"
    )
    source = Csv(store=str(tmp_path), path=str(path))
    report("ingest 1M minutes of CSV, all checks", best_s(lambda: source.ingest(force=True), 2), 12.0)
    report("panel of 1M bars", best_s(source.panel, 3), 1.5)
    fine = source.panel()
    for timeframe, budget_s in (("5m", 1.0), ("15m", 1.0), ("1h", 1.0), ("1d", 1.0)):
        report(f"resample 1M bars to {timeframe}", best_s(lambda t=timeframe: resample(fine, t), 3), budget_s)
    coarse = resample(fine, "5m")
    report("join 1M bars with 5m on known-at time", best_s(lambda: align(fine, coarse), 3), 0.3)


def test_the_aggregation_query_alone(tmp_path):
    fine = Synthetic(store=str(tmp_path), num_bars=1_000_000, timeframe="1m", calendar="crypto").panel()
    with duckdb.connect(config={"threads": 1}) as connection:
        columns = {
            name: getattr(fine, f"{name}_TN")[:, 0].copy() for name in ("open", "high", "low", "close", "volume")
        }
        connection.register("arrays", {"ts": fine.ts_T, "symbol": np.zeros(fine.num_bars, np.int32), **columns})
        connection.execute("CREATE TABLE bars AS SELECT * FROM arrays")
        from tradewright.data.resample import aggregate_query

        for length_s in (300, 900):
            query = aggregate_query("bars", stored_s=60, length_s=length_s)
            report(f"SQL of {length_s} s buckets", best_s(lambda q=query: connection.sql(q).fetchnumpy(), 3), 0.6)


def test_a_universe_is_ingested_and_read(tmp_path):
    source = Universe(store=str(tmp_path), num_symbols=1_677)
    report("generate, check and store 4.2M bars", best_s(lambda: source.ingest(force=True), 1), 30.0)
    report("panel of 1,677 x 2,500 bars", best_s(source.panel, 2), 5.0)
