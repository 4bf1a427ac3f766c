"""Reading and wording the stations' climate; the app's own helper module."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).parent / "data" / "climate.csv"


@dataclass
class Year:
    """Twelve months of one station: mean night and day temperature in °C, rain in mm."""

    altitude: int
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    rain: list[float] = field(default_factory=list)


def load(path: Path = DATA) -> dict[str, Year]:
    years: dict[str, Year] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            year = years.setdefault(line["station"], Year(int(line["altitude"])))
            year.low.append(float(line["low"]))
            year.high.append(float(line["high"]))
            year.rain.append(float(line["rain"]))
    return years


def convert(celsius: list[float], unit: str) -> list[float]:
    return celsius if unit == "°C" else [round(each * 9 / 5 + 32, 1) for each in celsius]


def describe(name: str, year: Year, unit: str) -> str:
    low, high = convert([min(year.low), max(year.high)], unit)
    wet = sum(year.rain)
    return (
        f"<b>{name}</b> lies {year.altitude} m above the sea. The coldest month's nights are at "
        f"<b>{low:g} {unit}</b>, the warmest month's days at <b>{high:g} {unit}</b>; "
        f"<b>{wet:.0f} mm</b> of rain fall in a year."
    )
