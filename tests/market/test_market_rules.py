"""Costs and account rules refuse impossible values by name; what derives from them is right."""

from typing import Any

import pytest

from tradewright.market import scalar_book
from tradewright.market.rules import AccountRules, Costs, Reason


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("fee_bps", -1, ">= 0"),
        ("fixed_fee", -0.01, ">= 0"),
        ("per_share_fee", -1, ">= 0"),
        ("slippage_bps", float("nan"), ">= 0"),
        ("slippage_bps", 10_000, "< 10000"),
        ("borrow_rate", -0.1, ">= 0"),
        ("slippage_ticks", -1, ">= 0"),
        ("impact", float("nan"), ">= 0"),
    ],
)
def test_impossible_cost_is_refused_by_name(name: str, value: float, limit: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be {limit}, was {value}"):
        Costs(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial_cash", 0.0),
        ("initial_cash", -5.0),
        ("leverage", 0.0),
        ("maintenance_margin", 1.0),
        ("maintenance_margin", -0.1),
        ("cash_buffer", 1.0),
        ("min_notional", -1.0),
        ("stop_loss", 0.0),
        ("take_profit", -0.1),
        ("trailing", 0.0),
        ("sizing", "guess"),
    ],
)
def test_impossible_rule_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        AccountRules(**{name: value})


def test_terms_price_a_fill_as_slippage_then_fee_on_the_slipped_notional() -> None:
    terms = AccountRules(leverage=2.0, costs=Costs(fee_bps=10, slippage_bps=20)).terms
    for notional in (5_000.0, -5_000.0):
        slipped = notional * (1.002 if notional > 0 else 0.998)
        expected = slipped - notional + abs(slipped) * 0.001
        assert abs(notional) * terms.rate + notional * terms.skew == pytest.approx(expected, rel=1e-13)
    assert terms.need_rate == pytest.approx(1 + 2 * 0.003)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (AccountRules(allow_short=False), False),
        (AccountRules(allow_short=False, costs=Costs(fee_bps=5, slippage_bps=5, cash_rate=0.02)), False),
        (AccountRules(), True),
        (AccountRules(allow_short=False, leverage=1.5), True),
        (AccountRules(allow_short=False, costs=Costs(fixed_fee=1)), True),
        (AccountRules(allow_short=False, costs=Costs(per_share_fee=1)), True),
        (AccountRules(allow_short=False, costs=Costs(cash_rate=-0.01)), True),
        (AccountRules(allow_short=False, costs=Costs(fee_bps=9_000, slippage_bps=2_000)), True),
    ],
)
def test_only_accounts_that_can_lose_all_watch_for_it(rules: AccountRules, expected: bool) -> None:
    assert rules.can_break is expected


def test_reason_codes_of_the_scalar_loop_are_those_of_the_enumeration() -> None:
    for reason in Reason:
        if reason is not Reason.NONE:
            assert getattr(scalar_book, reason.name) == reason
