"""Read equity curves of a run's test range from its ``equity.parquet``."""

from collections.abc import Mapping

import duckdb
import numpy as np

from tradewright.metrics.history import Float, Time
from tradewright.report.runs import RunRecord

EQUITY = "equity.parquet"
Equity = tuple[Time, Float]


def read_curves(record: RunRecord, connection: duckdb.DuckDBPyConnection) -> dict[str, Equity]:
    """Return times and equity of every curve of the test range, in the order they were written.

    Args:
        record: The run.
        connection: Reused for many runs; opening one takes longer than reading.

    Raises:
        duckdb.Error: The file is missing or damaged.
    """
    query = "SELECT name, ts, equity FROM read_parquet(?) WHERE \"range\" = 'test'"
    columns = connection.execute(query, [str(record.path / EQUITY)]).fetchnumpy()
    names = np.asarray(columns["name"], dtype=object)
    ts, equity = np.asarray(columns["ts"]), np.ma.asarray(columns["equity"], dtype=np.float64).filled(np.nan)
    curves = {}
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(ts[rows], kind="stable")]
        curves[str(name)] = ts[rows], equity[rows]
    return curves


def strategy_curve(record: RunRecord, curves: Mapping[str, Equity]) -> Equity:
    """Return the curve of the strategy: the first that is no baseline's.

    Raises:
        LookupError: There is none.
    """
    baselines = {key.split("/")[1] for key in record.metrics if key.startswith("baseline/")}
    for name, curve in curves.items():
        if name not in baselines:
            return curve
    raise LookupError(f"{record.path / EQUITY}: no test equity of the strategy")
