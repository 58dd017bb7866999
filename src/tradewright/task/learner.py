"""``Learner``: what a training needs to know of what is trained: an agent, a language model or a network on labels."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig

from tradewright.config.locate import class_attribute
from tradewright.evaluate.evidence import Leaks
from tradewright.task.context import BaseContext

if TYPE_CHECKING:
    import lightning


class Learner(Protocol):
    """A module under training, its data, and the strategy that comes of it."""

    module: Any
    """A ``LightningModule`` with ``frames`` (the x-axis of every curve), ``max_epochs`` and ``num_processes``."""

    def data(self) -> "lightning.LightningDataModule":
        """Return what the trainer feeds the module from."""
        ...

    def strategy(self) -> Any:
        """Return the module, as it is now, as what is judged."""
        ...

    def conclude(self) -> dict[str, object]:
        """Keep what later commands load, and return what is known besides positions, by kind of evidence."""
        ...

    def leak_check(self) -> Callable[..., Leaks] | None:
        """Return what the leak detector checks before the training; None: there is no market to look ahead in."""
        ...


def learns_from_labels(cfg: DictConfig) -> bool:
    """Whether the configured algorithm fits a network to labels."""
    return class_attribute(str(cfg.algorithm.get("_target_", "")), "learns_from") == "labels"


def learns_from_text(cfg: DictConfig) -> bool:
    """Whether the configured algorithm fits a language model."""
    return class_attribute(str(cfg.algorithm.get("_target_", "")), "learns_from") == "text"


def make_learner(context: BaseContext) -> Learner:
    """Build what the configuration names."""
    if learns_from_text(context.cfg):
        from tradewright.task.text_learner import TextLearner  # imports transformers

        return TextLearner(context)
    if learns_from_labels(context.cfg):
        from tradewright.task.label_learner import LabelLearner

        return LabelLearner(context)
    from tradewright.task.agent_learner import AgentLearner

    return AgentLearner(context)
