"""``task=train``: train the algorithm on the training range under one ``lightning.Trainer``; its best checkpoint by
validation becomes the strategy.
"""

import gc
import logging
import pickle
import warnings
from pathlib import Path
from typing import Any, ClassVar

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch.multiprocessing.spawn import ProcessRaisedException

from tradewright.algorithm.precision import fitting_precision
from tradewright.callbacks.checkpoints import AtomicCheckpointIO, BestCheckpoint, newest_checkpoint
from tradewright.callbacks.curve_logger import CurveLogger
from tradewright.callbacks.curves import Curves
from tradewright.callbacks.handover import Handover, take_over
from tradewright.callbacks.leaks import LeakCheck
from tradewright.callbacks.pruning import PruningCallback
from tradewright.config.build import build
from tradewright.errors import ConfigError, RunError
from tradewright.evaluate.bench import Bench
from tradewright.output import BEST, CHECKPOINTS, read_json, write_json
from tradewright.strategy.strategy import Strategy
from tradewright.sweep.pruning import current_pruning
from tradewright.task.agent_run import with_agent
from tradewright.task.context import BaseContext, Context, read_market
from tradewright.task.learner import Learner, learns_from_text, make_learner
from tradewright.task.preference_run import with_preferences
from tradewright.task.task import Task

log = logging.getLogger(__name__)

PYTHONS_GC = (700, 10, 10)
"""Python's own thresholds of garbage collection, which the command raises for its start: tensors in cycles must not
wait."""
PRUNING = "(pruning)"
"""Name of the callback that reports to a sweep; no key of a configuration."""
QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
    "lightning.fabric.utilities.distributed",
    "lightning.pytorch.accelerators.cuda",
)


class Train(Task):
    """Trains ``cfg.algorithm`` and returns it as ``cfg.strategy``.

    Args:
        num_threads: Threads of torch on the CPU, >= 1; None: one for agents, whose networks are small, what torch
            finds (all cores, or ``OMP_NUM_THREADS``) for language models.
    """

    learns: ClassVar[bool] = True
    needs_market: ClassVar[bool] = False
    strategy_kind: ClassVar[str] = "learned"

    def __init__(self, *, num_threads: int | None = None) -> None:
        super().__init__()
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"num_threads must be >= 1, was {num_threads}")
        self.num_threads = num_threads

    def configured(self, cfg: DictConfig) -> DictConfig:
        """Return the configuration with what it begins with: the agent that a language model explains, or the language
        model whose answers are compared and its pairs; each is trained or made first where there is none.
        """
        return with_preferences(with_agent(cfg))

    def market(self, cfg: DictConfig) -> Bench:
        """Read the market with model features."""
        return read_market(cfg, with_features=True)

    def strategy(self, context: BaseContext) -> Strategy:
        """Train (or continue training) and return the best agent by validation; a finished fold is only loaded.

        Raises:
            RunError: A resumed run has no readable checkpoint although it has damaged ones.
            PrunedError: A sweep stopped the training early.
        """
        if self.num_threads is not None or not learns_from_text(context.cfg):
            torch.set_num_threads(self.num_threads or 1)
        gc.set_threshold(*PYTHONS_GC)
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        if isinstance(context, Context):
            context.save_scaler()
        lightning.seed_everything(context.cfg.seed, workers=True, verbose=False)
        learner = make_learner(context)
        algorithm = learner.module
        finished = context.directory / CHECKPOINTS / BEST
        if context.fit and finished.is_file():
            self._check_leaks(context, learner)
            load_weights(algorithm, finished.parent / read_json(finished)["checkpoint"])
            return learner.strategy()
        callbacks = build_callbacks(context, learner, is_checked="leaks" in self.evidence)
        loggers = _build_loggers(context, algorithm)
        checkpoint = newest_checkpoint(context.directory / CHECKPOINTS) if context.resume else None
        if context.resume:
            log.info("resuming from %s", checkpoint.name if checkpoint else "the start: no checkpoint was written yet")
        trainer = _build_trainer(context, algorithm, list(callbacks.values()), loggers)
        _fit(trainer, learner, checkpoint, context)
        take_over(trainer, callbacks.values())
        for callback in callbacks.values():
            if isinstance(callback, LeakCheck):
                self.evidence["leaks"] = callback.found
            if isinstance(callback, PruningCallback):
                callback.raise_if_pruned()
        if not context.fit:
            self.curves = next((c.curves for c in callbacks.values() if isinstance(c, Curves)), {})
        if not load_best(algorithm, callbacks) and not context.fit:
            self.notes.append("The last weights are judged: callbacks.best is off or nothing was validated.")
        self.evidence.update(learner.conclude())
        return learner.strategy()

    def _check_leaks(self, context: BaseContext, learner: Learner) -> None:
        """Run the leak detector where a resumed run has nothing left to train, so that its answer is not missing."""
        if "leaks" in self.evidence:
            return
        for callback in build_callbacks(context, learner).values():
            if isinstance(callback, LeakCheck):
                callback.run()
                self.evidence["leaks"] = callback.found


def _fit(trainer: lightning.Trainer, learner: Learner, checkpoint: Path | None, context: BaseContext) -> None:
    """Train; Ctrl-C, which Lightning turns into an exit, stays an interruption."""
    with warnings.catch_warnings():
        # Said of every run that keeps its checkpoints in one place; resuming there is what we do.
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        # Lightning 2.6 on torch 2.13 calls what torch has deprecated.
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
        try:
            trainer.fit(learner.module, learner.data(), ckpt_path=checkpoint, weights_only=True)
        except ProcessRaisedException as error:
            raise RunError(f"a training process failed: {str(error).strip().splitlines()[-1]}") from error
        except SystemExit:
            if not trainer.interrupted:
                raise
    if trainer.interrupted:
        log.warning("interrupted; continue with `tradewright resume=%s`", context.run_directory)
        raise KeyboardInterrupt


def build_callbacks(context: BaseContext, learner: Learner, *, is_checked: bool = False) -> dict[str, Callback]:
    """Build the callbacks by name; those that keep checkpoints are told where, the leak detector what to check.

    Args:
        context: The run or fold.
        learner: What is trained.
        is_checked: The leak detector has passed this run already: folds and controls have the same features.
    """
    folder = context.directory / CHECKPOINTS
    built = {}
    for name, node in context.cfg.callbacks.items():
        if node is None:  # callbacks.leaks=null leaves out like ~callbacks.leaks
            continue
        target = str(node._target_)
        runtime: dict[str, Any] = {"directory": folder} if "checkpoint" in target.lower() else {}
        if target.endswith(".LeakCheck"):
            check = None if is_checked else learner.leak_check()
            if check is None:
                continue
            runtime["check"] = check
        built[str(name)] = build(node, key=f"callbacks.{name}", **runtime)
    trial = current_pruning()
    if trial is not None and not context.fit:  # folds and controls are compared with nothing
        built[PRUNING] = PruningCallback(trial)
    return built


def _build_loggers(context: BaseContext, algorithm: Any) -> list[Any]:
    loggers = []
    for name, node in context.cfg.logger.items():
        if node is None:
            continue
        is_own = str(node._target_).startswith("tradewright.")
        logger = build(node, key=f"logger.{name}", **({"directory": context.directory} if is_own else {}))
        if isinstance(logger, CurveLogger):
            logger.step_of = lambda: algorithm.frames
        loggers.append(logger)
    return loggers


def _build_trainer(
    context: BaseContext, algorithm: Any, callbacks: list[Callback], loggers: list[Any]
) -> lightning.Trainer:
    max_epochs = context.cfg.trainer.max_epochs
    if max_epochs is not None and max_epochs < 1:
        raise ConfigError(f"trainer.max_epochs must be >= 1, or null for what the algorithm needs, was {max_epochs}")
    node = context.cfg.trainer.copy()
    node.precision = fitting_precision(node.precision, device=node.accelerator)
    trainer: lightning.Trainer = build(
        node,
        key="trainer",
        max_epochs=algorithm.max_epochs if max_epochs is None else max_epochs,
        callbacks=[*callbacks, Handover(context.directory)],
        logger=loggers or False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=context.directory,
    )
    algorithm.num_processes = trainer.world_size
    if max_epochs is None:  # each process adds its share of the frames
        trainer.fit_loop.max_epochs = algorithm.max_epochs
    return trainer


def load_best(algorithm: lightning.LightningModule, callbacks: dict[str, Callback]) -> bool:
    """Load the best checkpoint by validation into the algorithm; return whether there is one.

    Raises:
        RunError: The checkpoint that the run chose is gone.
    """
    best = next((c for c in callbacks.values() if isinstance(c, BestCheckpoint)), None)
    if best is None or not best.best_model_path:
        log.warning("no best checkpoint: the last weights are judged (callbacks.best is off or nothing was validated)")
        return False
    load_weights(algorithm, best.best_model_path)
    chosen = Path(best.best_model_path)
    write_json(chosen.parent / BEST, {"checkpoint": chosen.name, "monitor": best.monitor})
    log.info("best checkpoint by %s: %s", best.monitor, best.best_model_path.rsplit("/", 1)[-1])
    return True


def load_weights(algorithm: lightning.LightningModule, path: Any) -> None:
    """Load the weights of a checkpoint.

    Raises:
        RunError: The file is missing or was written for another model.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        algorithm.load_state_dict(saved["state_dict"])
    except (OSError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
        raise RunError(f"{path}: cannot load this checkpoint: {' '.join(str(error).split())}") from None
