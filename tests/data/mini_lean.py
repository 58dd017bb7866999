"""A miniature LEAN data folder: zipped texts in deci-cents, factor and map files, market hours, contract facts.

XYZ traded as OLD until 2020-01-08, split 2:1 after the close of 2020-01-07 (ex-date 8 January) and paid a dividend of
1 % after the close of 2020-01-09. NEW has no map or factor file. EURUSD is quoted; BTCUSD trades all week.
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

NEW_YORK_DAY = [
    {"start": "04:00:00", "end": "09:30:00", "state": "premarket"},
    {"start": "09:30:00", "end": "16:00:00", "state": "market"},
    {"start": "16:00:00", "end": "20:00:00", "state": "postmarket"},
]
ALL_DAY = [{"start": "00:00:00", "end": "1.00:00:00", "state": "market"}]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
HOURS = {
    "Equity-usa-[*]": {
        "dataTimeZone": "America/New_York",
        "exchangeTimeZone": "America/New_York",
        **dict.fromkeys(WEEKDAYS, NEW_YORK_DAY),
        "holidays": ["1/1/2020"],
        "earlyCloses": {"1/3/2020": "13:00:00"},
    },
    "Forex-oanda-[*]": {
        "dataTimeZone": "UTC",
        "exchangeTimeZone": "America/New_York",
        **dict.fromkeys(WEEKDAYS, ALL_DAY),
    },
    "Forex-fxcm-[*]": {
        "dataTimeZone": "UTC-05",
        "exchangeTimeZone": "America/New_York",
        **dict.fromkeys(WEEKDAYS, ALL_DAY),
    },
    "Crypto-coinbase-[*]": {
        "dataTimeZone": "UTC",
        "exchangeTimeZone": "UTC",
        **dict.fromkeys((*WEEKDAYS, "saturday", "sunday"), ALL_DAY),
    },
}
PROPERTIES = """market,symbol,type,description,quote_currency,contract_multiplier,minimum_price_variation,lot_size
usa,[*],equity,,USD,1,0.01,1
oanda,EURUSD,forex,EUR/USD,USD,1,0.00001,1000
coinbase,BTCUSD,crypto,Bitcoin-US Dollar,USD,1,0.01,0.00000001
"""
OLD_DAYS = ["20200102", "20200103", "20200106", "20200107", "20200108"]
XYZ_DAYS = ["20200108", "20200109", "20200110", "20200113"]


def zip_text(path: Path, name: str, lines: Sequence[str]) -> Path:
    """Write a zip that holds one text, without a final line end, as LEAN does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "\n".join(lines))
    return path


def daily(days: Sequence[str], price: int) -> list[str]:
    """Return daily trade bars around ``price`` deci-cents, rising by one cent a day."""
    rows = []
    for number, day in enumerate(days):
        close = price + 100 * number
        rows.append(f"{day} 00:00,{close - 50},{close + 200},{close - 300},{close},{1000 + number}")
    return rows


def build_mini_lean(root: Path) -> Path:
    """Write the folder and return it."""
    (root / "market-hours").mkdir(parents=True)
    (root / "market-hours" / "market-hours-database.json").write_text(json.dumps({"entries": HOURS}))
    (root / "symbol-properties").mkdir()
    (root / "symbol-properties" / "symbol-properties-database.csv").write_text(PROPERTIES)
    usa = root / "equity" / "usa"
    zip_text(usa / "daily" / "old.zip", "old.csv", daily(OLD_DAYS, 2_000_000))
    # The ticker XYZ belonged to another company before; those rows must not appear.
    zip_text(
        usa / "daily" / "xyz.zip", "xyz.csv", [*daily(["20190102", "20200107"], 90_000), *daily(XYZ_DAYS, 1_000_000)]
    )
    zip_text(usa / "daily" / "new.zip", "new.csv", daily(XYZ_DAYS, 500_000))
    zip_text(
        usa / "hour" / "old.zip",
        "old.csv",
        ["20200102 09:00,100000,110000,90000,105000,5", "20200102 10:00,105000,110000,90000,100000,6"],
    )
    minutes = [
        f"{(9 * 3600 + 29 * 60 + 60 * m) * 1000},{10_000 + m},{10_010 + m},{9_990 + m},{10_005 + m},{m}"
        for m in range(12)
    ]
    late = [f"{s * 1000},10000,10010,9990,10005,7" for s in (12 * 3600 + 59 * 60, 13 * 3600, 19 * 3600)]
    zip_text(usa / "minute" / "old" / "20200102_trade.zip", "20200102_old_minute_trade.csv", minutes)
    zip_text(usa / "minute" / "old" / "20200103_trade.zip", "20200103_old_minute_trade.csv", late)
    (usa / "map_files").mkdir()
    (usa / "map_files" / "xyz.csv").write_text("20200102,old,Q\n20200108,old,Q\n20501231,xyz,Q")
    (usa / "factor_files").mkdir()
    (usa / "factor_files" / "xyz.csv").write_text(
        "20200102,0.99,0.5,1\n20200107,0.99,0.5,200.03\n20200109,0.99,1,100.01\n20501231,1,1,0"
    )
    quotes = [
        "20200102 00:00,1.10,1.12,1.09,1.11,0,1.1002,1.1202,1.0902,1.1102,0",
        "20200103 00:00,1.11,1.13,1.10,1.12,0,,,,,",
    ]
    for market in ("oanda", "fxcm"):
        zip_text(root / "forex" / market / "daily" / "eurusd.zip", "eurusd.csv", quotes)
    coins = [f"2020010{day} 00:00,7000.5,7100,6900,7050.25,12.5" for day in range(1, 8)]
    zip_text(root / "crypto" / "coinbase" / "daily" / "btcusd_trade.zip", "btcusd.csv", coins)
    return root
