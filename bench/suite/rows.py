"""The form of all measurements, for tables, JSON, comparison and report."""
import dataclasses

from bench.suite import stats


@dataclasses.dataclass
class Row:
    """`samples` of one measurement in `unit`, one for each round. `better` is "lower" or "higher". `extra` holds values
    that are not compared (percentiles, counts)."""
    part: str
    name: str
    unit: str
    samples: list
    better: str = "lower"
    extra: dict = dataclasses.field(default_factory=dict)

    @property
    def median(self):
        return stats.median(self.samples)

    def as_json(self):
        return {"part": self.part, "name": self.name, "unit": self.unit, "better": self.better,
                "median": self.median, "spread": stats.spread(self.samples), "samples": self.samples, **self.extra}


@dataclasses.dataclass
class Skip:
    """A row without a figure, because this machine or build cannot measure it. The table has the reason."""
    part: str
    name: str
    why: str
    failed: bool = False  # True: it should have been measured, and the run fails

    def as_json(self):
        return {"part": self.part, "name": self.name, "skipped": self.why}


def number(value):
    """The number with about four significant digits and no exponent."""
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4
    return f"{value:,.{digits}f}"


def line(row):
    if "skipped" in row:
        return f"  {row['name']:<74} not measured: {row['skipped']}"
    notes = "  ".join(f"{key} {number(value) if isinstance(value, (int, float)) else value}"
                      for key, value in row.items()
                      if key not in ("part", "name", "unit", "better", "median", "spread", "samples"))
    return f"  {row['name']:<74} {number(row['median']):>12} {row['unit']:<6} +-{row['spread'] * 100:3.0f} %  {notes}"
