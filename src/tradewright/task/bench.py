"""``task=bench``: how fast a language model writes and learns here, how much memory it takes, and what that means.

Latency is that of one answer at a time; training is measured on whole optimizer steps over random tokens, which cost
what real ones cost. What is over a budget is a finding.
"""

import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from tradewright.config.build import build
from tradewright.examples.example import Message
from tradewright.output import write_json
from tradewright.task.language_model import OfLanguageModel, load_model

if TYPE_CHECKING:
    from tradewright.model.loaded_model import LoadedModel

FILE = "bench.json"
"""Where ``task=doctor`` reads it."""
GIB = 1024**3
HOUR_S = 3600.0
LEARNING_RATE = 1e-5
"""Without influence on the speed."""


class Bench(OfLanguageModel):
    """Prints and returns the figures; findings say what is over a budget.

    Args:
        run: A run directory with a trained language model; None: the configured model.
        prompt: What is answered.
        num_requests: Answers, one after the other, >= 2; one more, before them, is not counted.
        train_steps: Optimizer steps that are measured, >= 0; one more, before them, is not counted; 0 trains nothing.
        batch_size: Examples per step, >= 1.
        tokens_per_sample: Length of an example, >= 2.
        num_samples: Examples of the training that is projected, >= 1.
        num_epochs: Of that training, >= 1.
        latency_budget_s: Longest p95 of an answer, seconds, > 0; None: any.
        memory_budget_gib: Largest peak memory, > 0; None: any.
        to: File of the figures; None: ``bench.json`` in the run directory, or none without a run.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        *,
        run: str | None = None,
        prompt: str = "Why did it sell?",
        num_requests: int = 16,
        train_steps: int = 4,
        batch_size: int = 4,
        tokens_per_sample: int = 512,
        num_samples: int = 10_000,
        num_epochs: int = 3,
        latency_budget_s: float | None = None,
        memory_budget_gib: float | None = None,
        to: str | None = None,
    ) -> None:
        for name, value, least in (
            ("num_requests", num_requests, 2),
            ("train_steps", train_steps, 0),
            ("batch_size", batch_size, 1),
            ("tokens_per_sample", tokens_per_sample, 2),
            ("num_samples", num_samples, 1),
            ("num_epochs", num_epochs, 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be >= {least}, was {value}")
        for budget, amount in (("latency_budget_s", latency_budget_s), ("memory_budget_gib", memory_budget_gib)):
            if amount is not None and not amount > 0:
                raise ValueError(f"{budget} must be > 0 or null, was {amount}")
        self.run = run
        self.prompt = prompt
        self.num_requests = num_requests
        self.train_steps = train_steps
        self.batch_size = batch_size
        self.tokens_per_sample = tokens_per_sample
        self.num_samples = num_samples
        self.num_epochs = num_epochs
        self.latency_budget_s = latency_budget_s
        self.memory_budget_gib = memory_budget_gib
        default = None if run is None else Path(run) / FILE
        self.to = default if to is None else Path(to)
        self.findings: list[str] = []

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Measure, print and return.

        Raises:
            RunError: The prompt is too long for the model.
            ConfigError: An example is longer than the model's context.
        """
        import transformers  # noqa: F401 - seconds that belong to no model

        start = time.perf_counter()
        loaded = load_model(cfg, self.run, for_training=self.train_steps > 0)
        figures = {"bench/load_s": time.perf_counter() - start}
        figures |= self._writing(cfg, loaded)
        if self.train_steps:
            figures |= self._training(loaded)
        figures["bench/peak_memory_gib"] = peak_memory_bytes() / GIB
        self.findings = self._judge(figures)
        self._print(figures, loaded.facts)
        if self.to is not None:
            write_json(self.to, {"model": loaded.facts, "figures": figures, "findings": self.findings})
        return figures

    def _writing(self, cfg: DictConfig, loaded: "LoadedModel") -> dict[str, float]:
        """Measure answers, one after the other."""
        from tradewright.generate.writer import Writer

        writer = Writer(loaded, build(cfg.generate, key="generate"))
        question = (Message(role="user", content=self.prompt),)
        writer.write([question])
        seconds, num_tokens = [], 0
        for number in range(self.num_requests):
            start = time.perf_counter()
            (written,) = writer.write([question], seed=number)
            seconds.append(time.perf_counter() - start)
            num_tokens += written.num_tokens or 0
        p50, p95 = np.percentile(seconds, [50, 95])
        return {
            "bench/written_tokens_per_s": num_tokens / sum(seconds),
            "bench/latency_p50_s": float(p50),
            "bench/latency_p95_s": float(p95),
        }

    def _training(self, loaded: "LoadedModel") -> dict[str, float]:
        """Measure optimizer steps and project a training from them."""
        import torch

        from tradewright.errors import ConfigError

        if self.tokens_per_sample > loaded.max_length:
            raise ConfigError(
                f"task.tokens_per_sample must be <= {loaded.max_length}, the model's context, was"
                f" {self.tokens_per_sample}"
            )
        model = loaded.model
        device: torch.device = next(model.parameters()).device
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)
        generator = torch.Generator().manual_seed(0)
        model.train()
        seconds = []
        for _ in range(self.train_steps + 1):
            ids_BL = torch.randint(
                len(loaded.tokenizer), (self.batch_size, self.tokens_per_sample), generator=generator
            ).to(device)
            start = time.perf_counter()
            model(input_ids=ids_BL, labels=ids_BL, use_cache=False).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        speed = self.train_steps * self.batch_size * self.tokens_per_sample / sum(seconds[1:])
        hours = project_hours(
            num_samples=self.num_samples,
            tokens_per_sample=self.tokens_per_sample,
            num_epochs=self.num_epochs,
            tokens_per_s=speed,
        )
        return {"bench/trained_tokens_per_s": speed, "bench/projected_hours": hours}

    def _judge(self, figures: dict[str, float]) -> list[str]:
        """Return a sentence for everything that is over a budget."""
        found = []
        latency, memory = figures["bench/latency_p95_s"], figures["bench/peak_memory_gib"]
        if self.latency_budget_s is not None and latency > self.latency_budget_s:
            found.append(
                f"slow: 95 % of answers take up to {latency:.3g} s, the budget is {self.latency_budget_s:g} s; fewer"
                " generate.max_new_tokens, quant=nf4 on a GPU, or a smaller model are faster"
            )
        if self.memory_budget_gib is not None and memory > self.memory_budget_gib:
            found.append(
                f"large: {memory:.3g} GiB at its peak, the budget is {self.memory_budget_gib:g} GiB; quant=nf4, a"
                " smaller task.batch_size or a smaller model need less"
            )
        return found

    def _print(self, figures: dict[str, float], facts: dict[str, Any]) -> None:
        table = Table(title=f"{facts.get('name')}: {facts.get('num_parameters', 0):,} parameters, {facts.get('dtype')}")
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in figures.items():
            table.add_row(name.removeprefix("bench/"), f"{value:,.4g}")
        console = Console()
        console.print(table)
        if "bench/projected_hours" in figures:
            console.print(
                f"{self.num_samples:,} examples of {self.tokens_per_sample:,} tokens, {self.num_epochs} times:"
                f" about {figures['bench/projected_hours']:.3g} h",
                highlight=False,
            )
        for finding in self.findings:
            console.print(f"finding: {finding}", style="yellow", highlight=False, soft_wrap=True)


def project_hours(*, num_samples: int, tokens_per_sample: int, num_epochs: int, tokens_per_s: float) -> float:
    """Return the hours that a training takes at a measured speed."""
    return num_samples * tokens_per_sample * num_epochs / tokens_per_s / HOUR_S


def peak_memory_bytes() -> int:
    """Return the most memory in use so far: of the GPU where there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
