"""The agent that a language model explains: a run that is named, the newest one, or one that is trained first.

Training it first is the command that a newcomer would type, in a process of its own: ``tradewright`` with no report.
"""

import logging
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig

from tradewright.config.locate import class_attribute
from tradewright.errors import RunError
from tradewright.output import BEST, CHECKPOINTS, CONFIG, STATUS, read_json
from tradewright.task.learner import learns_from_text

log = logging.getLogger(__name__)

EXPERIMENT = "default"
QUICK = ("report=none", "evaluate.shuffled_control=false", "evaluate.analytic_reference=false")
"""What the explanations do not need of that run."""


def with_agent(cfg: DictConfig) -> DictConfig:
    """Return the configuration with the run of the agent that is explained; any other as it is."""
    explains = class_attribute(str(cfg.examples.get("_target_", "")), "explains_agents") is True
    if not (explains and learns_from_text(cfg)) or cfg.examples.decisions is not None or cfg.examples.run is not None:
        return cfg
    found = newest_agent(Path(str(cfg.output_dir)) / EXPERIMENT) or _train(Path(str(cfg.output_dir)), str(cfg.store))
    log.info("explaining the agent of %s (examples.run chooses another)", found)
    merged = cfg.copy()
    merged.examples.run = str(found)
    return merged


def newest_agent(folder: Path) -> Path | None:
    """Return the newest finished run with a trained agent on a market; None if there is none."""
    for path in sorted(folder.glob(f"*/{CHECKPOINTS}/{BEST}"), reverse=True):
        run = path.parent.parent
        if (run / CONFIG).is_file() and read_json(run / STATUS).get("state") == "done" and _has_policy(run):
            return run
    return None


def _has_policy(run: Path) -> bool:
    from omegaconf import OmegaConf

    from tradewright.task.context import has_market

    cfg = OmegaConf.load(run / CONFIG)
    assert isinstance(cfg, DictConfig)
    return has_market(cfg) and not learns_from_text(cfg)


def _train(output_dir: Path, store: str) -> Path:
    """Train the default agent.

    Raises:
        RunError: It failed.
    """
    log.info("no trained agent in %s yet: training the default one first", output_dir / EXPERIMENT)
    words = [*QUICK, f"output_dir={output_dir}", f"store={store}"]
    done = subprocess.run([sys.executable, "-m", "tradewright", *words], stdout=subprocess.DEVNULL, check=False)
    found = newest_agent(output_dir / EXPERIMENT) if done.returncode == 0 else None
    if found is None:
        raise RunError(
            "examples.run: the default agent could not be trained, see above; train one with `tradewright` and name"
            " its run directory"
        )
    return found
