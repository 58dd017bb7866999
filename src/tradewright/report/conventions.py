"""The conventions of design §5 in words: the footer of every report, so that nobody has to guess a formula."""

CONVENTIONS = (
    "Returns are simple returns of equity marked at each bar's close; the first bar is the starting value and has none "
    "(n = T - 1).",
    "Figures are annualised with the trading days per year of the market's calendar (A); intraday equity is reduced to "
    "the last mark of each UTC day first.",
    "Sharpe = mean(r - rf/A) / standard deviation (ddof 1) * √A; Sortino divides by the downside deviation taken over "
    "all returns; annual growth (CAGR) = (1 + total return)^(A/n) - 1.",
    "Drawdown is measured from the highest mark so far, the starting value included; Calmar = CAGR / maximum drawdown; "
    "its length is the longest run of bars below an earlier peak.",
    "Value at risk is the linear 5% quantile of daily returns, expected shortfall the mean of those at or below it; "
    "a loss is negative.",
    "Beta uses ddof 1; alpha is Jensen's, compounded over A periods; both are against buy-and-hold on the same bars.",
    "A trade runs from flat to flat and is won if its profit after all its costs is above zero; open trades are listed "
    "apart and count in no trade figure; the profit factor is in cash. Excursions (MAE, MFE) are the furthest moves of "
    "the price against and for it, as fractions of the entry price.",
    "Orders are decided at a close and filled at the next open, with the costs of the configuration.",
    "Turnover is the traded notional per year over the equity at the close before each fill.",
    "The probabilistic Sharpe ratio is the probability that the true one is above zero, with the returns' own skewness "
    "and kurtosis; the deflated one that it is above the expected best of as many trials without skill; both with "
    "sampling error alone. Trials are counted by the experiment's ledger and survive the deletion of runs.",
    "The upper line beside an agent (apg) is an analytic policy gradient: it knows the accounting, which agents must "
    "find out by trying, and needs smooth costs; no test compares the agent with it.",
    "An undefined figure is a dash, never zero.",
)
"""One sentence per convention."""
