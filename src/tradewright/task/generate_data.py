"""``task=generate_data``: an explanation data set from the decisions of a trained run."""

from pathlib import Path
from typing import ClassVar

from omegaconf import DictConfig
from rich.console import Console

from tradewright.examples.explanations import Explanations, write_sets
from tradewright.examples.set_checks import SetChecks
from tradewright.output import write_json
from tradewright.task.decided import NO_MODEL, decided_run, print_results
from tradewright.task.trained import TrainedRun

CHECKS = "data_checks.json"
FOLDER = "explanations"


class GenerateData:
    """Writes ``decisions.jsonl``, ``train_data.json``, ``eval_data.json`` and ``data_checks.json``.

    Args:
        run: A run directory with a trained agent.
        examples: Makes the sets.
        folder: Where they go; None: ``explanations`` in the run directory.
        num_shown: First samples that are printed, >= 0.

    Raises:
        ValueError: ``num_shown`` is negative.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(self, *, run: str, examples: Explanations, folder: str | None = None, num_shown: int = 1) -> None:
        if num_shown < 0:
            raise ValueError(f"num_shown must be >= 0, was {num_shown}")
        self.trained = TrainedRun(Path(run))
        self.examples = examples
        self.folder = self.trained.directory / FOLDER if folder is None else Path(folder)
        self.num_shown = num_shown

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Decide, write, check; return the figures of the data set."""
        decided = decided_run(self.trained, cfg)
        panel = decided.bench.panel
        sets = self.examples.sets(decided.states, name=panel.dataset, is_synthetic=panel.is_synthetic)
        decided.write_log(self.folder)
        train, evaluation = write_sets(sets, self.folder)
        checks = self.examples.checks(sets)
        figures = _figures(checks)
        write_json(self.folder / CHECKS, {**figures, "warnings": checks.warnings, "fingerprint": sets.fingerprint})
        out = Console()
        for example in sets.train[: self.num_shown]:
            out.print(f"{example.id}\n{example.prompt[-1]['content']}\n-> {example.completion}\n", markup=False)
        for name, value in figures.items():
            out.print(f"{name}: {value:,.4g}", highlight=False)
        print_results(decided, NO_MODEL)
        out.print(f"{train}\n{evaluation}", soft_wrap=True, highlight=False)
        return figures


def _figures(checks: SetChecks) -> dict[str, float]:
    return {
        **{f"data/num_{split}": float(count) for split, count in checks.num_examples.items()},
        **{f"data/num_{kind}": float(count) for kind, count in checks.mix.items()},
        **{f"data/share_{action.lower()}": share for action, share in checks.actions.items()},
        "data/parsed": checks.parsed,
        "data/faithful": checks.is_faithful,
        "data/missing_indicators": float(len(checks.missing)),
        "data/out_of_range": float(len(checks.out_of_range)),
    }
