"""What a preference training begins with: the run of a language model, and the pairs of its answers.

Where no file of pairs is given, they are those of a run that is named, of the newest one, or of one that is trained
first, by the command that a newcomer would type, in a process of its own.
"""

import logging
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from tradewright.config.locate import class_attribute
from tradewright.errors import RunError
from tradewright.output import CONFIG, PROVENANCE, STATUS, read_json
from tradewright.task.learner import learns_from_text

log = logging.getLogger(__name__)

EXPERIMENT = "trading_llm"


def with_preferences(cfg: DictConfig) -> DictConfig:
    """Return the configuration with the file of pairs, and the model that wrote them where none is named; any other as
    it is.
    """
    holds_pairs = class_attribute(str(cfg.examples.get("_target_", "")), "holds_pairs") is True
    if not (holds_pairs and learns_from_text(cfg)) or cfg.examples.path is not None:
        return cfg
    folder = Path(str(cfg.output_dir))
    run = Path(str(cfg.examples.run)) if cfg.examples.run is not None else newest_writer(folder / EXPERIMENT)
    run = run or _train(folder, str(cfg.store))
    log.info("comparing answers of the language model of %s (examples.run chooses another)", run)
    merged = cfg.copy()
    merged.examples.run, merged.examples.path = str(run), str(_pairs(cfg, run))
    merged.examples.is_synthetic = read_json(run / PROVENANCE)["data"]["is_synthetic"]
    if merged.model.get("name") is None:
        merged.model.name = str(run)
    return merged


def newest_writer(folder: Path) -> Path | None:
    """Return the newest finished run with a language model that learnt to write answers; None if there is none."""
    for path in sorted(folder.glob(f"*/{CONFIG}"), reverse=True):
        run = path.parent
        if not (run / STATUS).is_file() or read_json(run / STATUS).get("state") != "done":
            continue
        cfg = OmegaConf.load(path)
        assert isinstance(cfg, DictConfig)
        if learns_from_text(cfg) and class_attribute(str(cfg.algorithm._target_), "learns_from_pairs") is not True:
            return run
    return None


def _pairs(cfg: DictConfig, run: Path) -> Path:
    """Return the file of pairs of a run, made first where it has none."""
    from tradewright.task.generate_pairs import FOLDER, PAIRS, GeneratePairs

    path = run / FOLDER / PAIRS
    if path.is_file():
        log.info("pairs: %s, as it is; `tradewright generate_pairs run=%s` makes it anew", path, run)
    else:
        log.info("making pairs of its answers first: %s", path)
        GeneratePairs(run=str(run), seed=int(cfg.seed)).execute(cfg)
    return path


def _train(output_dir: Path, store: str) -> Path:
    """Train the language model that explains an agent.

    Raises:
        RunError: It failed.
    """
    log.info("no trained language model in %s yet: training one first", output_dir / EXPERIMENT)
    words = [f"experiment={EXPERIMENT}", f"output_dir={output_dir}", f"store={store}"]
    done = subprocess.run([sys.executable, "-m", "tradewright", *words], stdout=subprocess.DEVNULL, check=False)
    found = newest_writer(output_dir / EXPERIMENT) if done.returncode == 0 else None
    if found is None:
        raise RunError(
            f"examples.run: the language model could not be trained, see above; train one with `tradewright"
            f" experiment={EXPERIMENT}` and name its run directory"
        )
    return found
