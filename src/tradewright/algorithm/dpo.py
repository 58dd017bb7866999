"""``algorithm=dpo``: preference training of a causal language model: preferred answers become likelier than others.

The reference that the model is held to is the model itself as it is before the first step, adapter included: of a new
adapter that is the base model to the bit, and it is right as well where the training of an adapter goes on or where an
initialisation (PiSSA) moves weights into the adapter, for which switching the adapter off would be another model. The
reference's log-probabilities are computed once, for all pairs, and kept: no second copy of the model is needed, whole
or adapted, and a step costs one forward pass. They travel in checkpoints (two numbers a pair), so that a resumed
training continues to the bit; that the base is still the same is checked on some pairs.

Dropout is off: with it the model would differ from its own reference before anything is learnt.
Both answers of a pair are always in one micro-batch; the loss is the mean over the pairs of the window.
Legend: K targets, P pairs.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tradewright.algorithm.fine_tuning import FineTuning
from tradewright.algorithm.fine_tuning_settings import FineTuningSettings, betas_of
from tradewright.algorithm.preference_loss import LOSSES, PairMeter, PreferenceLoss, measure, preference_loss
from tradewright.algorithm.schedule import LrSchedule
from tradewright.algorithm.text_batches import MicroBatch, Window
from tradewright.algorithm.text_examples import Overlong
from tradewright.algorithm.text_pairs import TokenPair, tokenise_pairs
from tradewright.algorithm.window_module import Scored
from tradewright.config.runtime import Runtime
from tradewright.errors import DataError, RunError
from tradewright.examples.example import Example, ExampleSets, Preference
from tradewright.model.dropout import switch_off_dropout
from tradewright.model.loaded_model import LoadedModel
from tradewright.model.masked_head import masked_nll_each

NUM_CHECKED = 8
"""Pairs on which the base of a resumed training is compared."""
RELATIVE, ABSOLUTE = 0.003, 0.05
"""Difference of a log-probability, of itself and in nats, that another device or precision may make."""


class DPO(FineTuning):
    """Fits a language model to preferences.

    Args:
        loaded: The model, with its adapter where it has one; what requires gradients is trained.
        sets: Pairs; the validation set chooses the checkpoint.
        seed: Of the order of the pairs.
        validate: Judges the module on the validation range; its figures are logged under ``validation/``.
        loss: ``sigmoid`` (DPO) or ``ipo``, see ``preference_loss``.
        beta: How close to its start the model is held, > 0.
        label_smoothing: Share of the pairs that may be the wrong way round, in [0, 0.5); of ``sigmoid``.
        sft_weight: Of the negative log-likelihood per token of the preferred answer, which is added, >= 0.
        epochs: Passes over the training set, >= 1.
        batch_size: Pairs of a micro-batch, >= 1.
        accumulation: Micro-batches per optimizer step, >= 1; ``batch_size x accumulation`` pairs make a step.
        lr: Highest learning rate, > 0.
        lr_schedule: From the end of the warm-up on: ``cosine``, ``linear`` or ``constant``.
        warmup: Fraction of all steps below 1, else steps; >= 0.
        final_lr_fraction: Of ``lr``, reached in the last step, in [0, 1].
        weight_decay: Of matrices, >= 0; biases and norms are not decayed.
        betas: Of AdamW.
        packing: Compute several answers as one row, without padding.
        tokens_per_batch: Most tokens of a packed micro-batch; at least those of the longest pair.
        bucket_windows: So many optimizer steps are sorted by length together, >= 1.
        gradient_checkpointing: Compute layers again in the backward pass instead of keeping their activations.
        overlong: What happens to pairs with an answer longer than the model's ``max_length``.
        head_chunk: Targets whose logits exist at a time, >= 1.
        log_every: Optimizer steps between two points of the curves, >= 1.
        peak_tflops: Of the device, for the utilisation; None: from the table of known GPUs.

    Raises:
        ValueError: An argument is out of range.
        DataError: The examples are no pairs, or cannot be used.

    Source: Rafailov et al., arXiv 2305.18290; ``sft_weight``: Pang et al., arXiv 2404.19733.
    """

    option: ClassVar[str] = "dpo"
    learns_from_pairs: ClassVar[bool] = True
    meter_type = PairMeter

    def __init__(
        self,
        *,
        loaded: Runtime[LoadedModel],
        sets: Runtime[ExampleSets],
        seed: Runtime[int],
        validate: Runtime[Callable[[Any], dict[str, float]] | None] = None,
        loss: PreferenceLoss = "sigmoid",
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        sft_weight: float = 0.0,
        epochs: int = 1,
        batch_size: int = 8,
        accumulation: int = 1,
        lr: float = 5e-6,
        lr_schedule: LrSchedule = "cosine",
        warmup: float = 0.1,
        final_lr_fraction: float = 0.1,
        weight_decay: float = 0.0,
        betas: list[float] | None = None,
        packing: bool = True,
        tokens_per_batch: int = 8192,
        bucket_windows: int = 1,
        gradient_checkpointing: bool = False,
        overlong: Overlong = "drop",
        head_chunk: int = 2048,
        log_every: int = 10,
        peak_tflops: float | None = None,
    ) -> None:
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, was {loss!r}")
        if not beta > 0:
            raise ValueError(f"beta must be > 0, was {beta}")
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must be in [0, 0.5), was {label_smoothing}")
        if label_smoothing and loss == "ipo":
            raise ValueError(f"label_smoothing must be 0 with loss=ipo, which has none, was {label_smoothing}")
        if not sft_weight >= 0:
            raise ValueError(f"sft_weight must be >= 0, was {sft_weight}")
        settings = FineTuningSettings(
            epochs, batch_size, accumulation, lr, lr_schedule, warmup, final_lr_fraction, weight_decay, betas_of(betas),
            packing, tokens_per_batch, bucket_windows, gradient_checkpointing, overlong, head_chunk, log_every,
            peak_tflops,
        )  # fmt: skip
        items: dict[str, tuple[TokenPair, ...]] = {}
        reports, num = {}, 0
        for name, examples in (("train", sets.train), ("validation", sets.validation), ("test", sets.test)):
            pairs = [one for one in examples if isinstance(one, Preference)]
            if name == "test" and not pairs:  # judged by its answers alone
                continue
            if len(pairs) < len(examples):
                other = next(one for one in examples if not isinstance(one, Preference))
                raise DataError(
                    f"examples: {name} example {other.id!r} has one answer; algorithm=dpo learns from pairs of a chosen"
                    " and a rejected one, as examples=preferences reads them"
                )
            items[name], reports[name] = tokenise_pairs(
                pairs, tokenizer=loaded.tokenizer, max_length=loaded.max_length, overlong=overlong, name=name, first=num
            )
            num += len(items[name])
        super().__init__(loaded=loaded, items=items, reports=reports, seed=seed, validate=validate, settings=settings)
        self.loss, self.beta, self.label_smoothing, self.sft_weight = loss, beta, label_smoothing, sft_weight
        self.pairs = tuple(pair for found in items.values() for pair in found)
        """Of all sets, by number."""
        self.judged = {pair.id: pair for pair in items.get("test", ())}
        """Pairs of the test set, by id."""
        self.reference_P2: Tensor | None = None
        """Log-probabilities of all pairs before the first step, on the CPU; None until the training starts."""

    def on_fit_start(self) -> None:
        """Prepare as ever; compute the reference where a checkpoint did not bring it."""
        super().on_fit_start()
        switch_off_dropout(self.model)
        if self.reference_P2 is None:
            self.reference_P2 = self.log_probabilities(self.pairs)

    def _size(self, window: Window) -> int:
        """Return the number of pairs: each counts alike, however long its answers are."""
        return len(window)

    def _summed(self, batch: MicroBatch, part: Window) -> tuple[Tensor, Tensor]:
        """Return the summed loss of pairs and what is measured of them."""
        assert self.reference_P2 is not None
        logp_P2 = self._logp(batch)
        reference_P2 = self.reference_P2[[pair.number for pair in part]].to(logp_P2.device)
        gain_P2 = logp_P2 - reference_P2
        loss_P = preference_loss(
            gain_P2[:, 0], gain_P2[:, 1], kind=self.loss, beta=self.beta, label_smoothing=self.label_smoothing
        )
        if self.sft_weight:
            num_P = torch.tensor([pair.chosen.num_targets for pair in part], device=logp_P2.device)
            loss_P = loss_P - self.sft_weight * logp_P2[:, 0] / num_P
        return loss_P.sum(), measure(loss_P, logp_P2, gain_P2, beta=self.beta)

    def _logp(self, batch: MicroBatch) -> Tensor:
        """Return the log-probability of every answer, nats, ``[P, 2]``, preferred first."""
        nll_K = masked_nll_each(self.model, batch.inputs, batch.rows_K, batch.targets_K, chunk=self.head_chunk)
        return -torch.stack([one.sum() for one in nll_K.split(list(batch.counts))]).view(-1, 2)

    def _judge(self, window: Window) -> list[Scored]:
        """Return the sums of what is measured of a window's pairs."""
        scored = []
        with self._attending():
            for part in self.layout.split(window):
                batch = self.layout.lay_out(part).to(self.device)
                scored.append((self._summed(batch, part)[1], len(part)))
        return scored

    @torch.no_grad()
    def log_probabilities(self, pairs: Sequence[TokenPair]) -> Tensor:
        """Return the log-probabilities of both answers as the model is now, nats, float32 ``[P, 2]`` on the CPU."""
        found_P2 = torch.empty(len(pairs), 2)
        place = {pair.number: row for row, pair in enumerate(pairs)}

        def score(window: Window) -> list[tuple[Window, Tensor]]:
            scored = []
            with self._attending(), self.trainer.precision_plugin.forward_context():
                for part in self.layout.split(window):
                    scored.append((part, self._logp(self.layout.lay_out(part).to(self.device)).cpu()))
            return scored

        for part, logp_P2 in self._scored(lambda window: self._fitting(score, window), pairs):
            found_P2[[place[pair.number] for pair in part]] = logp_P2
        return found_P2

    def margins(self, examples: Sequence[Example]) -> npt.NDArray[np.float64]:
        """Return how much higher the implicit reward of the preferred answer of test pairs is by now, ``[P]``.

        Args:
            examples: Of the test set; what is no pair, or does not fit into the model's context, is left out.
        """
        pairs = [self.judged[one.id] for one in examples if one.id in self.judged]
        if not pairs or self.reference_P2 is None:
            return np.empty(0)
        gain_P2 = self.log_probabilities(pairs) - self.reference_P2[[pair.number for pair in pairs]]
        return self.beta * (gain_P2[:, 0] - gain_P2[:, 1]).double().numpy()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the reference to what every training saves."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[self.option]["reference"] = self.reference_P2

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back; the weights are still those of the start here, so they can be checked against it.

        Raises:
            RunError: The checkpoint is of another algorithm, other pairs or another base.
        """
        super().on_load_checkpoint(checkpoint)
        reference_P2 = checkpoint[self.option]["reference"]
        if len(reference_P2) != len(self.pairs):
            raise RunError(
                f"the checkpoint was trained on {len(reference_P2)} pairs, now there are {len(self.pairs)}; resume with"
                " the same data"
            )
        self.to(self.trainer.strategy.root_device)
        checked = self.pairs[:NUM_CHECKED]
        known_P2 = reference_P2[:NUM_CHECKED]
        error_P2 = (self.log_probabilities(checked) - known_P2).abs()
        if not bool((error_P2 <= RELATIVE * known_P2.abs() + ABSOLUTE).all()):
            raise RunError(
                "the checkpoint's reference is another one: log-probabilities of the first pairs differ by"
                f" {float(error_P2.max()):.3g} nats; resume with the model and the pairs of its run"
            )
        self.reference_P2 = reference_P2
