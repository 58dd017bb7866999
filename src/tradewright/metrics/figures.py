"""The catalogue of figures: label, unit and better direction of every key that judging a backtest returns.

Tables, reports and comparisons read it, so a figure is named and formatted the same way everywhere.
"""

import math
from dataclasses import dataclass
from typing import Literal

Unit = Literal["fraction", "ratio", "money", "count", "days", "flag"]

RECALL = "recall_"

DASH = "\N{EN DASH}"
"""How an undefined figure is printed."""


@dataclass(frozen=True)
class Figure:
    """How one key is shown; ``better`` is 1 if higher is better, -1 if lower is, 0 if neither."""

    label: str
    unit: Unit
    better: int = 0
    short: str = ""

    @property
    def title(self) -> str:
        """The label for narrow columns."""
        return self.short or self.label


FIGURES: dict[str, Figure] = {
    "total_return": Figure("Total return", "fraction", 1, short="Return"),
    "cagr": Figure("Annual growth (CAGR)", "fraction", 1, short="CAGR"),
    "volatility": Figure("Annual volatility", "fraction", -1, short="Volatility"),
    "downside_deviation": Figure("Annual downside deviation", "fraction", -1),
    "sharpe": Figure("Sharpe ratio", "ratio", 1, short="Sharpe"),
    "sharpe_standard_error": Figure("Standard error of Sharpe", "ratio"),
    "sortino": Figure("Sortino ratio", "ratio", 1, short="Sortino"),
    "calmar": Figure("Calmar ratio", "ratio", 1, short="Calmar"),
    "max_drawdown": Figure("Maximum drawdown", "fraction", -1, short="Max. drawdown"),
    "max_drawdown_bars": Figure("Longest drawdown, bars", "count", -1),
    "max_drawdown_days": Figure("Longest drawdown, days", "days", -1, short="Drawdown days"),
    "drawdown_ongoing": Figure("Below its peak at the end", "flag"),
    "var_95": Figure("Value at risk 95%, daily", "fraction", 1),
    "cvar_95": Figure("Expected shortfall 95%, daily", "fraction", 1),
    "skew": Figure("Skewness", "ratio"),
    "excess_kurtosis": Figure("Excess kurtosis", "ratio"),
    "best_day": Figure("Best day", "fraction"),
    "worst_day": Figure("Worst day", "fraction", 1),
    "positive_days": Figure("Days with a gain", "fraction", 1),
    "alpha": Figure("Alpha against buy-and-hold", "fraction", 1, short="Alpha"),
    "beta": Figure("Beta to buy-and-hold", "ratio", short="Beta"),
    "correlation": Figure("Correlation with buy-and-hold", "ratio"),
    "tracking_error": Figure("Tracking error", "fraction"),
    "information_ratio": Figure("Information ratio", "ratio", 1, short="Info. ratio"),
    "num_trades": Figure("Closed trades", "count", short="Trades"),
    "num_open_trades": Figure("Open trades", "count"),
    "num_wins": Figure("Winning trades", "count"),
    "num_losses": Figure("Losing trades", "count"),
    "win_rate": Figure("Win rate", "fraction", 1),
    "average_win": Figure("Average win", "money"),
    "average_loss": Figure("Average loss", "money"),
    "payoff_ratio": Figure("Payoff ratio", "ratio", 1),
    "profit_factor": Figure("Profit factor", "ratio", 1),
    "expectancy": Figure("Expectancy per trade", "money", 1),
    "largest_win": Figure("Largest win", "money"),
    "largest_loss": Figure("Largest loss", "money"),
    "max_consecutive_wins": Figure("Most wins in a row", "count"),
    "max_consecutive_losses": Figure("Most losses in a row", "count"),
    "average_holding_bars": Figure("Average holding time, bars", "ratio"),
    "exposure": Figure("Mean gross exposure", "fraction", short="Exposure"),
    "time_in_market": Figure("Time in the market", "fraction"),
    "turnover": Figure("Turnover per year, of equity", "ratio", -1, short="Turnover"),
    "num_fills": Figure("Fills", "count"),
    "num_rejections": Figure("Rejected orders", "count"),
    "total_fees": Figure("Fees", "money", -1),
    "total_slippage": Figure("Slippage", "money", -1),
    "total_borrow": Figure("Borrow cost", "money", -1),
    "total_funding": Figure("Funding paid (received < 0)", "money"),
    "total_dividends": Figure("Dividends paid (received < 0)", "money"),
    "total_interest": Figure("Interest paid (earned < 0)", "money"),
    "final_equity": Figure("Final equity", "money", 1, short="Equity"),
    "bankrupt": Figure("Bankrupt", "flag", -1),
    "num_bars": Figure("Bars", "count"),
}

JUDGED: dict[str, Figure] = {
    "sharpe_low": Figure("Sharpe ratio, lower bound", "ratio", 1, short="Sharpe low"),
    "sharpe_high": Figure("Sharpe ratio, upper bound", "ratio", 1, short="Sharpe high"),
    "total_return_low": Figure("Total return, lower bound", "fraction", 1, short="Return low"),
    "total_return_high": Figure("Total return, upper bound", "fraction", 1, short="Return high"),
    "max_drawdown_low": Figure("Maximum drawdown, lower bound", "fraction", -1, short="Drawdown low"),
    "max_drawdown_high": Figure("Maximum drawdown, upper bound", "fraction", -1, short="Drawdown high"),
    "probabilistic_sharpe": Figure("Probability of a Sharpe ratio above zero", "fraction", 1, short="Prob. Sharpe"),
    "deflated_sharpe": Figure("Probability of skill given all trials", "fraction", 1, short="Deflated Sharpe"),
    "noise_ceiling": Figure("Best Sharpe ratio expected of luck", "ratio", short="Noise ceiling"),
    "num_trials": Figure("Trials so far", "count", short="Trials made"),
    "random_entry_p_value": Figure("Random strategies at least as good", "fraction", -1, short="Random entry p"),
    "mae": Figure("Maximum adverse excursion", "fraction", short="MAE"),
    "mfe": Figure("Maximum favourable excursion", "fraction", short="MFE"),
    "is_degenerate": Figure("Decides little or nothing", "flag", -1, short="Degenerate"),
}
"""What judging adds to ``summarise``: how far its figures could be chance, and what else is shown in their units."""

PLAYED: dict[str, Figure] = {
    "mean_return": Figure("Mean return of episodes", "ratio", 1, short="Mean return"),
    "mean_return_low": Figure("Mean return, lower bound", "ratio", 1, short="Return low"),
    "mean_return_high": Figure("Mean return, upper bound", "ratio", 1, short="Return high"),
    "std_return": Figure("Standard deviation of returns", "ratio", -1, short="Deviation"),
    "mean_length": Figure("Mean length of episodes, steps", "ratio", short="Length"),
}
"""What judging by episodes returns; these returns are sums of rewards."""

ANSWERED: dict[str, Figure] = {
    "loss": Figure("Loss per token, nats", "ratio", -1, short="Loss"),
    "perplexity": Figure("Perplexity per token", "ratio", -1, short="Perplexity"),
    "accuracy": Figure("Accuracy", "fraction", 1),
    "accuracy_low": Figure("Accuracy, lower bound", "fraction", 1, short="Accuracy low"),
    "accuracy_high": Figure("Accuracy, upper bound", "fraction", 1, short="Accuracy high"),
    "balanced_accuracy": Figure("Balanced accuracy", "fraction", 1, short="Balanced"),
    "majority_accuracy": Figure("Accuracy of always the most frequent label", "fraction", short="Majority"),
    "log_loss": Figure("Log loss of the label, nats", "ratio", -1, short="Log loss"),
    "calibration_error": Figure("Expected calibration error", "fraction", -1, short="ECE"),
    "parse_rate": Figure("Answers that can be read", "fraction", 1, short="Readable"),
    "written_accuracy": Figure("Accuracy of written answers", "fraction", 1, short="Written right"),
    "exact_match": Figure("Answers equal to the expected text", "fraction", 1, short="Exact"),
    "preference_accuracy": Figure("Pairs whose chosen answer gained more", "fraction", 1, short="Preferred"),
    "preference_accuracy_low": Figure("Pairs whose chosen answer gained more, lower bound", "fraction", 1),
    "preference_accuracy_high": Figure("Pairs whose chosen answer gained more, upper bound", "fraction", 1),
    "faithful": Figure("Wholly faithful answers", "fraction", 1, short="Faithful"),
    "faithful_low": Figure("Wholly faithful answers, lower bound", "fraction", 1, short="Faithful low"),
    "faithful_high": Figure("Wholly faithful answers, upper bound", "fraction", 1, short="Faithful high"),
    "claim_precision": Figure("True claims", "fraction", 1),
    "ungrounded_numbers": Figure("Numbers that belong to nothing, per text", "ratio", -1, short="Ungrounded"),
    "coverage": Figure("Words that the fact check knows", "fraction", 1, short="Known words"),
    **{
        name: Figure(f"{name.replace('_', ' ').capitalize()}, 1 to 5", "ratio", 1, short=name.replace("_", " "))
        for name in (
            "factual_accuracy",
            "technical_relevance",
            "coherence",
            "specificity",
            "language_quality",
            "market_awareness",
            "multi_factor",
            "temporal_awareness",
            "balance",
        )
    },
    "claim_precision_elsewhere": Figure("True claims of another prompt's facts", "fraction", short="True elsewhere"),
    "action_agreement": Figure("Answers that state the right action", "fraction", 1, short="Action right"),
    "characters": Figure("Length of an answer, characters", "count", short="Length"),
}
"""What judging by answers returns."""

DRAFTED: dict[str, Figure] = {
    "num_generated": Figure("Answers written out", "count"),
    "tokens_per_decision": Figure("Tokens written per decision", "ratio", -1, short="Tokens"),
    "cut_drafts": Figure("Drafts without a word at their limit", "fraction", -1, short="Cut drafts"),
    "true_draft": Figure("Written drafts that are true and right", "fraction", 1, short="True drafts"),
    "drafts_asked": Figure("Bars that the teacher drafted for", "count"),
    "drafts_kept": Figure("Bars with a draft that is kept", "count"),
    "drafts_kept_share": Figure("Share of bars with a draft that is kept", "fraction", 1, short="Kept"),
    "drafts_no_separator": Figure("Drafts refused: no separator", "count"),
    "drafts_no_answer": Figure("Drafts refused: none of the three words", "count"),
    "drafts_wrong_answer": Figure("Drafts refused: wrong word", "count"),
    "drafts_no_step": Figure("Drafts refused: no step", "count"),
    "drafts_long_step": Figure("Drafts refused: a step too long", "count"),
    "drafts_unreadable": Figure("Drafts refused: a step cannot be read", "count"),
    "drafts_untrue": Figure("Drafts refused: a step is untrue", "count"),
}
"""What answers cost, and what became of a teacher's drafts."""

FORECAST: dict[str, Figure] = {
    "side_accuracy": Figure("Accuracy of the side", "fraction", 1, short="Side right"),
    "side_balanced_accuracy": Figure("Balanced accuracy of the side", "fraction", 1, short="Side balanced"),
    "side_majority_accuracy": Figure("Accuracy of always the most frequent side", "fraction", short="Side majority"),
    "side_log_loss": Figure("Log loss of the side, nats", "ratio", -1, short="Side log loss"),
    "side_calibration_error": Figure("Expected calibration error of the side", "fraction", -1, short="Side ECE"),
    "side_recall_buy": Figure("Recall of BUY", "fraction", 1, short="BUY found"),
    "side_recall_sell": Figure("Recall of SELL", "fraction", 1, short="SELL found"),
    "side_recall_hold": Figure("Recall of HOLD", "fraction", 1, short="HOLD found"),
    "size_mse": Figure("Mean squared error of the size", "ratio", -1, short="Size MSE"),
    "size_mse_of_mean": Figure("Mean squared error of the mean size", "ratio", short="Size MSE of mean"),
    "size_skill": Figure("Skill of the size beyond the mean", "fraction", 1, short="Size skill"),
    "horizon_mse": Figure("Mean squared error of the return", "ratio", -1, short="Return MSE"),
    "horizon_mse_of_mean": Figure("Mean squared error of the mean return", "ratio", short="Return MSE of mean"),
    "horizon_skill": Figure("Skill of the return beyond the mean", "fraction", 1, short="Return skill"),
}
"""What judging forecasts returns; squared errors are of fractions."""


def describe(key: str) -> Figure:
    """Return how ``key`` is shown; prefixes (``test/``) are ignored, an unknown key is a plain ratio under its name."""
    name = key.rsplit("/", 1)[-1]
    catalogues = (FIGURES, JUDGED, PLAYED, ANSWERED, DRAFTED, FORECAST)
    found = next((known[name] for known in catalogues if name in known), None)
    if found is None and name.startswith(RECALL):  # of a label, whatever labels there are
        return Figure(f"Recall of {name.removeprefix(RECALL).upper()}", "fraction", 1)
    return found or Figure(name.replace("_", " "), "ratio")


def show(key: str, value: float) -> str:
    """Format ``value`` in the unit of ``key``; an undefined value is a dash.

    >>> show("test/sharpe", 0.34421), show("cagr", 0.0567), show("num_trades", 12.0), show("sharpe", float("nan"))
    ('0.344', '5.67%', '12', '–')
    """
    if not math.isfinite(value):
        return DASH
    match describe(key).unit:
        case "fraction":
            return f"{_rounded(100 * value, 2)}%"
        case "money":
            return _rounded(value, 2)
        case "count" | "days":
            return _rounded(value, 0)
        case "flag":
            return "yes" if value else "no"
        case _:
            return _rounded(value, 3) if abs(value) < 1e6 else f"{value:.3g}"


def _rounded(value: float, digits: int) -> str:
    """Return the value with thousands separators; what rounds to zero carries no sign."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"
