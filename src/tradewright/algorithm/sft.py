"""``algorithm=sft``: supervised fine-tuning of a causal language model, whole or through an adapter.

The loss is the mean negative log-likelihood per target token of the window (see ``text_batches``), over scored
positions only (see ``masked_head``); everything else is shared with the other losses, see ``fine_tuning``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from tradewright.algorithm.fine_tuning import FineTuning
from tradewright.algorithm.fine_tuning_settings import FineTuningSettings, betas_of
from tradewright.algorithm.schedule import LrSchedule
from tradewright.algorithm.text_examples import Overlong, tokenise
from tradewright.config.runtime import Runtime
from tradewright.examples.example import ExampleSets
from tradewright.model.loaded_model import LoadedModel


class SFT(FineTuning):
    """Fits a language model to examples.

    Args:
        loaded: The model, with its adapter where it has one; what requires gradients is trained.
        sets: Examples; the validation set chooses the checkpoint.
        seed: Of the order of the examples.
        validate: Judges the module on the validation range; its figures are logged under ``validation/``.
        epochs: Passes over the training set, >= 1.
        batch_size: Examples of a micro-batch, >= 1.
        accumulation: Micro-batches per optimizer step, >= 1; ``batch_size x accumulation`` examples make a step.
        lr: Highest learning rate, > 0.
        lr_schedule: From the end of the warm-up on: ``cosine``, ``linear`` or ``constant``.
        warmup: Fraction of all steps below 1, else steps; >= 0.
        final_lr_fraction: Of ``lr``, reached in the last step, in [0, 1].
        weight_decay: Of matrices, >= 0; biases and norms are not decayed.
        betas: Of AdamW.
        packing: Compute several examples as one row, without padding.
        tokens_per_batch: Most tokens of a packed micro-batch; at least those of the longest example.
        bucket_windows: So many optimizer steps are sorted by length together, >= 1.
        gradient_checkpointing: Compute layers again in the backward pass instead of keeping their activations.
        overlong: What happens to examples longer than the model's ``max_length``.
        train_on_prompt: Learn the prompts too.
        head_chunk: Targets whose logits exist at a time, >= 1.
        log_every: Optimizer steps between two points of the curves, >= 1.
        peak_tflops: Of the device, for the utilisation; None: from the table of known GPUs.

    Raises:
        ValueError: An argument is out of range.
        DataError: The examples cannot be used.
    """

    option: ClassVar[str] = "sft"

    def __init__(
        self,
        *,
        loaded: Runtime[LoadedModel],
        sets: Runtime[ExampleSets],
        seed: Runtime[int],
        validate: Runtime[Callable[[Any], dict[str, float]] | None] = None,
        epochs: int = 3,
        batch_size: int = 8,
        accumulation: int = 1,
        lr: float = 2e-4,
        lr_schedule: LrSchedule = "cosine",
        warmup: float = 0.03,
        final_lr_fraction: float = 0.1,
        weight_decay: float = 0.0,
        betas: list[float] | None = None,
        packing: bool = True,
        tokens_per_batch: int = 8192,
        bucket_windows: int = 1,
        gradient_checkpointing: bool = False,
        overlong: Overlong = "drop",
        train_on_prompt: bool = False,
        head_chunk: int = 2048,
        log_every: int = 10,
        peak_tflops: float | None = None,
    ) -> None:
        settings = FineTuningSettings(
            epochs, batch_size, accumulation, lr, lr_schedule, warmup, final_lr_fraction, weight_decay, betas_of(betas),
            packing, tokens_per_batch, bucket_windows, gradient_checkpointing, overlong, head_chunk, log_every,
            peak_tflops,
        )  # fmt: skip
        read = partial(tokenise, tokenizer=loaded.tokenizer, max_length=loaded.max_length, overlong=overlong)
        train, in_training = read(sets.train, train_on_prompt=train_on_prompt)
        validation, in_validation = read(sets.validation, name="validation")
        super().__init__(
            loaded=loaded,
            items={"train": train, "validation": validation},
            reports={"train": in_training, "validation": in_validation},
            seed=seed,
            validate=validate,
            settings=settings,
        )
