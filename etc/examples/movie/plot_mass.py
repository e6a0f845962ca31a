"""Draw the log of the dam-break solver: how high the water stands, and how well its mass is conserved."""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

INK = "#22303c"
BLUE = "#0f6a9a"
RUST = "#c4572e"
PALE = "#dfe6ea"

ROUNDING = sys.float_info.epsilon / 2.0  # relative error of storing one number

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "font.size": 11,
    "grid.color": PALE,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def read_log(log: Path) -> dict[str, list[float]]:
    """Return the columns of the log by name."""
    with log.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        message = "the log holds no time steps"
        raise ValueError(message)
    return {name: [float(row[name]) for row in rows] for name in ("time", "relative_mass_error", "max_depth")}


def power_of_ten(value: float, _position: int) -> str:
    """Return an axis label such as -2.5e-17 in mathematical notation."""
    if value == 0.0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return rf"${mantissa.removesuffix('.0')} \times 10^{{{int(exponent)}}}$"


def draw(columns: dict[str, list[float]], output: Path) -> None:
    """Draw the greatest depth and the mass error over time, one above the other."""
    time, depth, error = columns["time"], columns["max_depth"], columns["relative_mass_error"]
    worst = max(abs(e) for e in error)

    with plt.rc_context(STYLE):
        figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(8.0, 6.0), layout="constrained")

        upper.set_title("Greatest depth: waves meet walls, corners and each other")
        upper.plot(time, depth, color=BLUE, linewidth=2.0)
        upper.set_ylabel("depth (m)")
        upper.set_ylim(0.0, 1.1 * max(depth))

        lower.set_title(f"Relative mass error: at most {worst:.1e}")
        lower.axhspan(-ROUNDING, ROUNDING, color=PALE, label="rounding of a single number")
        lower.plot(time, error, color=RUST, linewidth=1.0, label="mass of all the water")
        lower.set_ylabel("relative error")
        lower.set_ylim(-1.6 * max(worst, ROUNDING), 1.6 * max(worst, ROUNDING))
        lower.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        lower.legend(loc="upper right", ncols=2, frameon=False)
        lower.set_xlabel("time (s)")
        lower.set_xlim(0.0, 1.01 * time[-1])

        figure.align_ylabels()
        figure.savefig(output, dpi=120)


def main() -> None:
    """Read the command line and draw the chart."""
    parser = argparse.ArgumentParser(prog="plot_mass", description="Draw the log of the dam-break solver.")
    parser.add_argument("log", type=Path, help="log written by dam_break.py")
    parser.add_argument("output", type=Path, help="picture to write, such as mass.png")
    args = parser.parse_args()
    try:
        draw(read_log(args.log), args.output)
    except KeyError as error:
        sys.exit(f"plot_mass: {args.log} has no column {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"plot_mass: cannot draw {args.log}: {error}")


if __name__ == "__main__":
    main()
