"""Numbers and Markdown tables."""
import statistics


def number(value):
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    digits = next((n for n, least in enumerate((100, 10, 1, 0.1)) if abs(value) >= least), 4)
    return f"{value:,.{digits}f}"


def spread(values, scale=1, unit=""):
    """The median, and the smallest and largest of several."""
    scaled = [value * scale for value in values]
    text = number(statistics.median(scaled)) + unit
    return text if len(scaled) == 1 else f"{text} ({number(min(scaled))}-{number(max(scaled))})"


def cell(results, case, key, scale=1, unit=""):
    """What was measured, or why it was not."""
    values = results.values(case, key)
    return spread(values, scale, unit) if values else results.error(case)


def decimals(results, case, key):
    """A single measurement with four decimals."""
    values = results.values(case, key)
    return f"{values[0]:.4f}" if values else results.error(case)


def ratios(results, above, below, key):
    """Of the two cases' values, repetition by repetition."""
    return [a / b for a, b in zip(results.values(above, key), results.values(below, key)) if b > 0]


def ratio(results, above, below, key):
    values = ratios(results, above, below, key) if above and below else []
    return spread(values, unit="x") if values else "-"


def best(results, cases, key):
    """The case with the largest median, of those that were measured; or None."""
    measured = [case for case in cases if results.values(case, key)]
    return max(measured, key=lambda case: results.median(case, key), default=None)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(word).replace("|", "/") for word in line) + " |" for line in lines) + "\n"
