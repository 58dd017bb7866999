"""What judging leaves besides figures: the values that reports draw and the ledger keeps.

Every kind of evidence is one frozen dataclass; ``Judgement.evidence`` holds them by name (``significance``,
``random_entry``, ``folds``, ``degenerate``, ``leaks``, ``universe``, ``filtered``). Legend: R resamples or random
strategies, P paths, T bars.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tradewright.backtest.result import BacktestResult
from tradewright.risk.decisions import Blocked

Float = npt.NDArray[np.float64]
Span = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The trials of one experiment on one data set, the present one included.

    Args:
        num: Distinct trials, >= 1.
        sharpe_K: Annualised test Sharpe ratios of those trials that recorded one, the present one excluded.
    """

    num: int = 1
    sharpe_K: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """Decisions of the test range that the filters of risk blocked or cut; none where all passed."""

    blocked: tuple[Blocked, ...]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with the bounds of its confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The strategy against one other strategy on the same bars, by a paired block bootstrap.

    Args:
        name: The other strategy.
        sharpe: Difference of the annualised Sharpe ratios (strategy minus other).
        mean: Difference of the annualised mean returns, fraction.
        p_value: Two-sided, of the difference of the Sharpe ratios.
        adjusted_p_value: The same, corrected for all comparisons of the table.
    """

    name: str
    sharpe: Interval
    mean: Interval
    p_value: float
    adjusted_p_value: float


@dataclass(frozen=True, kw_only=True)
class Significance:
    """How far the figures of the test range could be chance.

    Args:
        confidence: Level of all intervals, e.g. 0.95.
        num_resamples: R.
        block_length: Mean block length of the stationary bootstrap, periods.
        num_periods: Returns that the figures rest on.
        intervals: By result name, then by figure key: bootstrap intervals of the headline figures.
        comparisons: The strategy against each baseline.
        probabilistic_sharpe: Probability that the true Sharpe ratio is above zero.
        deflated_sharpe: Probability that it is above the noise ceiling, given the number of trials.
        noise_ceiling: Expected best annualised Sharpe ratio of ``num_trials`` trials without skill.
        num_trials: From the ledger.
        trial_deviation: Standard deviation of the annualised Sharpe ratios across trials used for the ceiling.
        deviation_source: ``trials`` (estimated from recorded trials) or ``sampling`` (that of zero-skill returns).
        min_track_record: Periods needed for a probabilistic Sharpe ratio of the confidence level; NaN if unreachable.
        superiority_p_value: Hansen's SPA: probability under the null that no baseline is beaten; NaN if not computed.
    """

    confidence: float
    num_resamples: int
    block_length: float
    num_periods: int
    intervals: Mapping[str, Mapping[str, Interval]]
    comparisons: tuple[Comparison, ...]
    probabilistic_sharpe: float
    deflated_sharpe: float
    noise_ceiling: float
    num_trials: int
    trial_deviation: float
    deviation_source: str
    min_track_record: float
    superiority_p_value: float


REFERENCE = "apg"
"""Name of the baseline that is no strategy to beat but an upper line: the analytic gradient."""


@dataclass(frozen=True, kw_only=True)
class UpperLine:
    """Whether the analytic gradient stands beside an agent.

    Args:
        obstacle: Why it does not; "" where it does.
    """

    obstacle: str

    @property
    def note(self) -> str:
        """One sentence for the report."""
        if self.obstacle:
            return f"No upper line: the analytic gradient needs an accounting without jumps, but {self.obstacle}."
        return (
            f"{REFERENCE.upper()} is the upper line, the analytic gradient: it knows the accounting and needs smooth"
            " costs; trained, chosen and judged on the same bars at the same costs."
        )


@dataclass(frozen=True, kw_only=True)
class RandomEntry:
    """The strategy among strategies that hold the same positions at random times (same turnover and exposure).

    Args:
        sharpe_R: Annualised Sharpe ratios of the random strategies.
        total_return_R: Their total returns, fractions.
        sharpe: The strategy's.
        total_return: The strategy's.
        p_value: Share of random strategies with a Sharpe ratio at least as high, ``(1 + count) / (1 + R)``.
        method: How times were drawn, one sentence.
    """

    sharpe_R: Float
    total_return_R: Float
    sharpe: float
    total_return: float
    p_value: float
    method: str


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fit: what it was trained, chosen and judged on, and its own figures on its test bars."""

    name: str
    train: tuple[Span, ...]
    validation: Span
    test: tuple[Span, ...]
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Folds:
    """A cross-validation: its fits and the out-of-sample paths stitched from them.

    Args:
        kind: ``walk_forward``, ``purged_k_fold`` or ``combinatorial``.
        folds: In time order of the test bars.
        paths: One backtest per path over all test bars; one path except for ``combinatorial``.
        path_metrics: Figures of every path, same order.
        chosen: Index of the path that ``test/*`` reports (the median Sharpe ratio).
    """

    kind: str
    folds: tuple[Fold, ...]
    paths: tuple[BacktestResult, ...]
    path_metrics: tuple[Mapping[str, float], ...]
    chosen: int = 0


@dataclass(frozen=True, kw_only=True)
class Degenerate:
    """Ways in which a policy decides nothing.

    Args:
        findings: Sentences, empty when there are none; any makes the policy degenerate.
        cautions: What a reader should know although a sane policy may show it too; makes nothing degenerate.
    """

    findings: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Leak:
    """One value that changed although only the future did; of all changes of the culprit, the largest.

    Args:
        kind: ``feature``, ``target``, ``scaler``, ``observation``, ``strategy``, ``prompt`` or ``split``.
        name: The culprit, e.g. the feature.
        symbol: The instrument, or "".
        ts: Bar at which the value changed.
        cut_ts: Last bar that was left untouched.
        method: ``truncation`` or ``perturbation``; ``ranges`` for a split.
        before: The value with the whole data.
        after: The value without (or with another) future.
        first_ts: Earliest bar whose value changed at any cut.
        reach_bars: The value depends on a bar at least this many later; a full-sample statistic reaches over all.
    """

    kind: str
    name: str
    symbol: str
    ts: np.datetime64
    cut_ts: np.datetime64
    method: str
    before: float | str
    after: float | str
    first_ts: np.datetime64 = np.datetime64("NaT")  # noqa: RUF009 - immutable
    reach_bars: int = 0


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """The leak detector's answer: what was checked, how, and the leaks found (one per culprit).

    Args:
        checked: What was checked, e.g. "15 features".
        num_cuts: Random cuts of each check.
        leaks: The leaks.
        faults: Why a check gave no verdict, sentences; empty where all did.
        drift: Warm-up stability: by feature, then warm-up bars, the relative drift of the last value.
    """

    checked: tuple[str, ...]
    num_cuts: int
    leaks: tuple[Leak, ...] = ()
    faults: tuple[str, ...] = ()
    drift: Mapping[str, Mapping[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Universe:
    """Directional accuracy and separate backtests over many instruments.

    Args:
        accuracy: By symbol: share of bars with a position whose next return has its sign; NaN without positions.
        base_rate: By symbol: share of the more frequent direction, what a constant guess reaches.
        metrics: By symbol: figures of a backtest of that instrument alone.
        num_decided: By symbol: bars that the accuracy counts; without it a report cannot draw the noise floor.
    """

    accuracy: Mapping[str, float]
    base_rate: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, float]]
    num_decided: Mapping[str, int] = field(default_factory=dict)
