"""``Runtime[T]``: marks a constructor argument that the run supplies in code and that no YAML file may set.

    class Policy:
        def __init__(self, *, num_features: Runtime[int], hidden: int = 64) -> None: ...

``build(cfg.model, key="model", num_features=15)`` passes it. The checker then neither misses ``num_features`` in the
YAML file nor accepts it there. For the type checker ``Runtime[int]`` is ``int``.
"""

from typing import Annotated, TypeVar

T = TypeVar("T")

MARK = "runtime"
"""The metadata by which the checker recognises the alias, written out or not."""

Runtime = Annotated[T, "runtime"]
