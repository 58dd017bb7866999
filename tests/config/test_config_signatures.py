"""Signatures read from source equal those that Python reports, and what text cannot settle is left unchecked."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tradewright.config.locate import MAX_REEXPORTS, UnknownTargetError, class_attribute, locate
from tradewright.config.signatures import Signature, signature
from tradewright.config.source import find_module, parse_signatures

MODULE = """
    import functools
    from abc import ABC
    from dataclasses import KW_ONLY, InitVar, dataclass, field
    from typing import Annotated, ClassVar, Generic, NamedTuple, Protocol, TypeVar

    from tradewright.config.runtime import Runtime

    T = TypeVar("T")


    class Plain:
        def __init__(self, a, b: int = 1, *, c: str, d=None): ...

        @classmethod
        def load(cls, path: str, *, strict: bool = True): ...

        @staticmethod
        def make(size: int): ...

        def method(self, x): ...

        class Inner:
            def __init__(self, z): ...


    class Inherits(Plain, Generic[T]): ...


    class Abstract(ABC):
        def __init__(self, *, q: int): ...


    class FromAbstract(Abstract): ...


    class Nothing: ...


    class Anything:
        def __init__(self, known: int = 0, **rest): ...


    class PositionalOnly:
        def __init__(self, first, /, second): ...


    @dataclass
    class Base:
        x: int
        kind: ClassVar[str] = "base"
        y: float = 0.0
        hidden: int = field(default=3, init=False)


    class Middle(Base): ...


    @dataclass(frozen=True, kw_only=True)
    class Fields(Middle):
        y: float
        z: list[int] = field(default_factory=list)
        _: KW_ONLY
        w: InitVar[int] = 1


    @dataclass
    class OwnInit:
        x: int

        def __init__(self, other): ...


    class Supplied:
        def __init__(self, a: Runtime[int], b: Annotated[str, "runtime"], c: "Runtime[float]", d: int): ...


    def function(a, *, b=2): ...


    @functools.wraps(function)
    def wrapped(*args): ...


    partial = functools.partial(function, b=3)
    alias = Plain


    def decorate(cls):
        return cls


    @decorate
    class Decorated:
        def __init__(self, a): ...


    class Meta(type):
        def __call__(cls, *args, **kwargs):
            kwargs.pop("extra", None)
            return super().__call__(*args, **kwargs)


    class WithMeta(metaclass=Meta):
        def __init__(self, a): ...


    class WithNew:
        def __new__(cls, a): ...


    class FromUnknown(functools.partial): ...


    class Choice:
        if True:
            def __init__(self, a): ...
        else:
            def __init__(self, a, b): ...


    class Sizes(NamedTuple):
        width: int
"""


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with chains of re-exports."""
    files = {
        "sample/__init__.py": "from .chain1 import Plain as Deep\nfrom .classes import *\nfrom sample import lazy\n",
        "sample/classes.py": dedent(MODULE),
        "sample/lazy.py": "def __getattr__(name):\n    return 1\n",
        "sample/static.py": "VALUE = 1\nclass Only: ...\n",
        "sample/guarded.py": "try:\n    from .classes import Plain as A\nexcept ImportError:\n    A = None\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .classes import Nothing as B\n",
        "sample/broken.py": "def f(:\n",
        "space/part.py": "class InNamespace:\n    def __init__(self, a): ...\n",
    }
    files |= {f"sample/chain{n}.py": f"from .chain{n + 1} import Plain\n" for n in range(1, MAX_REEXPORTS + 2)}
    files[f"sample/chain{MAX_REEXPORTS + 2}.py"] = "from .classes import Plain\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def read(target: str) -> Signature | None:
    located = locate(target)
    return None if located is None else signature(located)


@pytest.mark.parametrize(
    ("target", "required", "optional"),
    [
        ("sample.classes.Plain", "a c", "b d"),
        ("sample.classes.Inherits", "a c", "b d"),
        ("sample.classes.FromAbstract", "q", ""),
        ("sample.classes.Nothing", "", ""),
        ("sample.classes.PositionalOnly", "second", ""),
        ("sample.classes.Base", "x", "y"),
        ("sample.classes.Middle", "x", "y"),
        ("sample.classes.Fields", "x y", "z w"),
        ("sample.classes.OwnInit", "other", ""),
        ("sample.classes.function", "a", "b"),
        ("sample.classes.alias", "a c", "b d"),
        ("sample.classes.Plain.load", "path", "strict"),
        ("sample.classes.Inherits.load", "path", "strict"),
        ("sample.classes.Plain.make", "size", ""),
        ("sample.classes.Plain.Inner", "z", ""),
        ("sample.Nothing", "", ""),  # through a star import
        ("sample.guarded.A", "a c", "b d"),
        ("sample.guarded.B", "", ""),
        ("space.part.InNamespace", "a", ""),
    ],
)
def test_signature_is_read_from_source(sample: Path, target: str, required: str, optional: str) -> None:
    found = read(target)
    assert found is not None
    assert {name for name, p in found.parameters.items() if p.is_required} == set(required.split())
    assert {name for name, p in found.parameters.items() if not p.is_required} == set(optional.split())
    assert not found.may_take_others()


@pytest.mark.parametrize(
    "target",
    [
        "sample.classes.wrapped",
        "sample.classes.partial",
        "sample.classes.Decorated",
        "sample.classes.WithNew",
        "sample.classes.Choice",
        "sample.classes.FromUnknown",
        "sample.classes.Plain.method",
        "sample.classes.Plain.absent",
        "sample.lazy.anything",
        "sample.broken.f",
        "sample.Deep",  # more re-exports than are followed
        "math.sqrt",
        "_thread.allocate_lock",
    ],
)
def test_what_the_text_does_not_settle_is_unchecked(sample: Path, target: str) -> None:
    assert read(target) is None


def test_further_names_are_possible_with_keywords_and_metaclasses(sample: Path) -> None:
    for target in ("sample.classes.Anything", "sample.classes.WithMeta"):
        found = read(target)
        assert found is not None
        assert found.may_take_others()


def test_runtime_arguments_are_recognised_however_they_are_written(sample: Path) -> None:
    found = read("sample.classes.Supplied")
    assert found is not None
    assert {name for name, p in found.parameters.items() if p.is_runtime} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.Class", "no module named 'nowhere' is installed"),
        ("sample.static", "'sample.static' is a module, not a class or function"),
        ("sample.static.Onyl", "sample.static has no 'Onyl'; did you mean 'Only'?"),
        ("sample.classes.Plane", "sample.classes has no 'Plane'; did you mean 'Plain'?"),
        ("space.prt.X", "space has no 'prt'; did you mean 'part'?"),
        ("sample..x", "'sample..x' is no dotted path to a class or function"),
    ],
)
def test_path_that_leads_nowhere_is_an_error(sample: Path, target: str, message: str) -> None:
    with pytest.raises(UnknownTargetError) as raised:
        locate(target)
    assert str(raised.value) == message


def test_class_attributes_are_read_with_inheritance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "class A:\n    kinds: tuple = ('x',)\n    flag = False\n    late = len('a')\n\n\nclass B(A):\n    flag = True\n"
    )
    (tmp_path / "attributes.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert class_attribute("attributes.B", "kinds") == ("x",)
    assert class_attribute("attributes.B", "flag") is True
    assert class_attribute("attributes.A", "flag") is False
    assert class_attribute("attributes.B", "late") is None
    assert class_attribute("attributes.B", "absent") is None
    assert class_attribute("attributes.C", "flag") is None


LIGHT = [
    "torch.optim.Adam",
    "torch.optim.AdamW",
    "torch.optim.SGD",
    "torch.optim.lr_scheduler.CosineAnnealingLR",
    "torch.nn.Linear",
    "torch.nn.LSTM",
    "torch.nn.CrossEntropyLoss",
    "torch.utils.data.DataLoader",
    "lightning.Trainer",
    "lightning.pytorch.callbacks.ModelCheckpoint",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.callbacks.LearningRateMonitor",
    "lightning.pytorch.callbacks.RichProgressBar",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
    "lightning.pytorch.loggers.WandbLogger",
    "lightning.pytorch.profilers.SimpleProfiler",
    "lightning.pytorch.strategies.DDPStrategy",
    "peft.LoraConfig",
    "transformers.BitsAndBytesConfig",
    "transformers.Qwen2Config",
    "transformers.GPT2Config",
    "optuna.samplers.TPESampler",
    "optuna.samplers.RandomSampler",
    "optuna.pruners.MedianPruner",
    "gymnasium.wrappers.TimeLimit",
    "torchrl.objectives.ClipPPOLoss",
    "torchrl.objectives.SACLoss",
    "torchrl.objectives.DQNLoss",
    "torchrl.objectives.value.GAE",
    "torchrl.modules.MLP",
    "torchrl.data.LazyTensorStorage",
    "torchrl.data.TensorDictReplayBuffer",
    "torchrl.collectors.Collector",
]


def test_third_party_signatures_equal_those_that_python_reports() -> None:
    """The oracle is ``inspect.signature`` on the imported class: the same names, required and optional."""
    checked = 0
    for target in LIGHT:
        found = read(target)
        if found is None:
            continue
        module, _, name = target.rpartition(".")
        actual = inspect.signature(getattr(importlib.import_module(module), name))
        by_name = {n: p for n, p in actual.parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        takes_any = any(p.kind is p.VAR_KEYWORD for p in actual.parameters.values())
        assert found.may_take_others() or set(found.parameters) == set(by_name), target
        assert set(by_name) <= set(found.parameters) or found.may_take_others(), target
        assert found.may_take_others() or not takes_any, target
        required = {n for n, p in by_name.items() if p.default is p.empty}
        assert {n for n, p in found.parameters.items() if p.is_required} == required, target
        checked += 1
    assert checked >= 24, f"only {checked} of {len(LIGHT)} could be read"


@pytest.mark.parametrize("target", ["torch.optim.adam.Adamm", "lightning.Trianer", "peft.LoraConfg", "torch.nn.Liner"])
def test_names_that_a_library_does_not_have_are_errors(target: str) -> None:
    with pytest.raises(UnknownTargetError, match="did you mean"):
        locate(target)


def test_reading_signatures_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from tradewright.config.locate import locate\n"
        "from tradewright.config.signatures import signature\n"
        f"for target in {LIGHT!r}:\n    found = locate(target)\n    found and signature(found)\n"
        "heavy = {'torch', 'lightning', 'torchrl', 'transformers', 'peft', 'optuna', 'gymnasium'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "name",
    ["lightning.pytorch.trainer.trainer", "peft.tuners.lora.config", "torch.optim.adam", "tradewright.data.source"],
)
def test_leaving_out_method_bodies_changes_no_signature(name: str) -> None:
    spec = find_module(name)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    short, whole = parse_signatures(text), ast.parse(text)

    def headers(tree: ast.Module) -> list[str]:
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        methods = [(c.name, m) for c in functions for m in c.body if isinstance(m, ast.FunctionDef)]
        return [f"{c}.{m.name} {ast.dump(m.args)} {[ast.dump(d) for d in m.decorator_list]}" for c, m in methods]

    assert headers(short) == headers(whole)
    assert len(ast.dump(short)) < len(ast.dump(whole))
