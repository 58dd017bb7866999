"""``task=commentary``: market commentary over several horizons for moments of the test range, checked and scored."""

from collections.abc import Sequence

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from tradewright.config.runtime import Runtime
from tradewright.errors import DataError
from tradewright.examples.explanations import commentary_prompt
from tradewright.explain.commentary import (
    CRITERIA,
    CommentaryScore,
    MarketState,
    check_commentary,
    market_states,
    score_commentary,
    write_commentary,
)
from tradewright.output import write_text
from tradewright.task.author import Author, Checked, OfAgent, Write, author, checked_texts, require_tries, truth_line
from tradewright.task.decided import decided_run, print_means, results_lines

FILE = "market_commentary.txt"


class Commentary(OfAgent):
    """Writes ``market_commentary.txt``.

    Args:
        run: A run directory with a trained agent.
        llm: Run directory of a trained language model, which writes; None: the templates.
        write: A callable from prompts to texts in its place; None: none.
        num_tries: Draws of a commentary at most; one that the fact check refuses is drawn again, >= 1.
        num_commentaries: Moments of the test range, evenly spaced up to the newest, >= 1.
        folder: Where the file goes; None: ``explanations`` in the run directory.
        seed: Of the words.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        *,
        run: str,
        llm: str | None = None,
        write: Runtime[Write | None] = None,
        num_tries: int = 3,
        num_commentaries: int = 5,
        folder: str | None = None,
        seed: int = 0,
    ) -> None:
        require_tries(num_tries)
        if num_commentaries < 1:
            raise ValueError(f"num_commentaries must be >= 1, was {num_commentaries}")
        super().__init__(run=run, llm=llm, write=write, folder=folder)
        self.num_tries, self.num_commentaries, self.seed = num_tries, num_commentaries, seed

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Write, check and score; return the figures.

        Raises:
            DataError: More commentaries are asked for than there are moments.
        """
        who = author(cfg, llm=self.llm, write=self.write)
        decided = decided_run(self.trained, cfg)
        markets = market_states(decided.states_by_range["test"])
        if len(markets) < self.num_commentaries:
            raise DataError(f"task.num_commentaries must be <= {len(markets)}, was {self.num_commentaries}")
        places = np.linspace(len(markets) - 1, 0, self.num_commentaries).round().astype(int)[::-1]
        chosen = [markets[place] for place in places]
        written = self._texts(who, chosen)
        scores = [score_commentary(text, market) for text, market in zip(written.texts, chosen, strict=True)]
        figures = {**_figures(scores), "commentary/faithful_first": written.first}
        results = results_lines(decided, who.cutoff)
        path = self.folder / FILE
        write_text(path, "\n".join([*_page(who.name, scores, chosen), *results]) + "\n")
        print_means("Commentary, 1 to 5", {name: figures[f"commentary/{name}"] for name in CRITERIA})
        truth = truth_line(figures["commentary/faithful"], written.first)
        for line in (f"Written by: {who.name}", truth, *results, str(path)):
            Console().print(line, soft_wrap=True, markup=False, highlight=False)
        return figures

    def _texts(self, who: Author, markets: Sequence[MarketState]) -> Checked:
        def passes(place: int, text: str) -> bool:
            found = check_commentary(text, markets[place])
            return found.is_faithful and bool(found.checked)

        return checked_texts(
            who,
            [commentary_prompt(market) for market in markets],
            [market.states for market in markets],
            template=lambda place: write_commentary(markets[place], self.seed),
            passes=passes,
            num_tries=self.num_tries,
        )


def _page(writer: str, scores: Sequence[CommentaryScore], markets: Sequence[MarketState]) -> list[str]:
    lines = [f"Market commentary, written by: {writer}", ""]
    for one, market in zip(scores, markets, strict=True):
        marks = ", ".join(f"{name} {value:.1f}" for name, value in one.values.items())
        lines += [f"[{one.id}] {market.day}", one.text, f"({marks})"]
        lines += [f"  fault: {fault}" for fault in one.facts.faults]
        lines.append("")
    return lines


def _figures(scores: Sequence[CommentaryScore]) -> dict[str, float]:
    return {
        "commentary/num_commentaries": float(len(scores)),
        "commentary/faithful": float(np.mean([one.facts.is_faithful for one in scores])),
        **{f"commentary/{name}": float(np.mean([one.values[name] for one in scores])) for name in CRITERIA},
    }
