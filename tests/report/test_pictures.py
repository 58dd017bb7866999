"""The small pictures for loggers: what is drawn where, read back from the pixels."""

import io
import math

import numpy as np
import pytest
from compare_samples import TS, walk
from PIL import Image

from tradewright.report import pictures
from tradewright.report.axes import HOLD_COLOUR, STRATEGY_COLOUR
from tradewright.report.pictures import draw_lines, draw_pictures, drawdown, nice_ticks


def pixels_like(png: bytes, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns inside the axes that have nearly the given colour."""
    rgb = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    rows, columns = np.nonzero(np.abs(rgb - wanted).sum(axis=2) < 30)
    inside = rows > pictures.TOP
    return rows[inside], columns[inside]


def test_every_range_has_growth_and_drawdown() -> None:
    results = {(span, name): walk(name, 1) for span in ("validation", "test") for name in ("policy", "buy_and_hold")}
    drawn = draw_pictures(results)
    assert list(drawn) == ["validation/equity", "validation/drawdown", "test/equity", "test/drawdown"]
    for png in drawn.values():
        image = Image.open(io.BytesIO(png))
        assert (image.format, image.size) == ("PNG", (pictures.WIDTH, pictures.HEIGHT))
        assert len(png) < 100_000


def test_line_is_where_its_values_are() -> None:
    rising = np.linspace(1.0, 2.0, len(TS))
    rows, columns = pixels_like(draw_lines("x", {"policy": (TS, rising)}), STRATEGY_COLOUR)
    left, right = rows[columns < pictures.LEFT + 10].mean(), rows[columns > pictures.WIDTH - pictures.RIGHT - 10].mean()
    assert left == pytest.approx(pictures.HEIGHT - pictures.BOTTOM, abs=6)  # 1.0 is the lowest tick
    assert right == pytest.approx(pictures.TOP, abs=6)  # 2.0 is the highest
    assert columns.min() == pytest.approx(pictures.LEFT, abs=3)
    assert columns.max() == pytest.approx(pictures.WIDTH - pictures.RIGHT, abs=3)


def test_undefined_values_leave_a_gap_and_the_first_line_is_on_top() -> None:
    values = np.where((np.arange(len(TS)) > 100) & (np.arange(len(TS)) < 200), np.nan, 1.0)
    png = draw_lines("x", {"policy": (TS, values), "buy and hold": (TS, np.ones(len(TS)))})
    _, blue = pixels_like(png, STRATEGY_COLOUR)
    _, grey = pixels_like(png, HOLD_COLOUR)
    third = (pictures.WIDTH - pictures.LEFT - pictures.RIGHT) / 3
    is_middle = np.abs(blue - pictures.LEFT - 1.5 * third) < 0.4 * third
    assert not is_middle.any()
    assert (np.abs(grey - pictures.LEFT - 1.5 * third) < 0.4 * third).sum() > 0.7 * third
    assert (np.abs(blue - pictures.LEFT - 0.5 * third) < 0.4 * third).sum() > 0.7 * third


def test_drawdown_starts_from_the_initial_cash() -> None:
    got = drawdown(np.array([0.9, 1.1, 0.99, 1.2]))
    np.testing.assert_allclose(got, [-0.1, 0.0, -0.1, 0.0], atol=1e-15)


def test_baseline_that_is_buy_and_hold_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(pictures, "draw_lines", lambda _, lines, **__: seen.append(list(lines)) or b"")
    hold = walk("buy_and_hold", 2)
    others = {"momentum": walk("momentum", 3), "equal_weight": hold, "buy_and_hold": hold}
    draw_pictures({("test", "policy"): walk("policy", 1)} | {("test", name): one for name, one in others.items()})
    assert seen == [["policy", "buy and hold", "momentum"]] * 2


@pytest.mark.parametrize("seed", range(20))
def test_ticks_are_few_round_and_enclose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.normal() * 10.0 ** rng.integers(-4, 5)
    high = low + abs(rng.normal()) * 10.0 ** rng.integers(-4, 5)
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-8 * step
    assert ticks[-1] >= high - 1e-8 * step
    assert 2 <= len(ticks) <= pictures.MAX_TICKS + 2
    leading = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(leading - digit) for digit in (1, 2, 5, 10)) < 1e-6


def test_flat_line_and_no_value_can_be_drawn() -> None:
    assert nice_ticks(1.0, 1.0)[0] <= 1.0 <= nice_ticks(1.0, 1.0)[-1]
    assert draw_lines("x", {"policy": (TS, np.full(len(TS), np.nan))}).startswith(b"\x89PNG")
