"""Circular dam break in a closed square basin: a small shallow-water solver.

A round column of water, standing in a calm basin with solid walls, is let go at time zero.  The program
follows the wave with a second-order finite-volume scheme, saves a picture of the water now and then, and
keeps a log that shows that no water is lost.

The equations are hyperbolic conservation laws for depth ``h`` and momentum ``(h u, h v)``.  Every time step
sweeps the grid once along x and once along y (Strang splitting, the order alternates).  A sweep is one
MUSCL-Hancock step: limited linear reconstruction, half a step forward in time, and HLL fluxes between cells.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

GRAVITY = 9.81  # m/s^2
BASIN = 10.0  # side of the basin, m
CALM_DEPTH = 1.0  # m
COLUMN_DEPTH = 3.0  # m
COLUMN_RADIUS = 1.6  # m
COLUMN_CENTRE = (3.6, 4.2)  # m, off-centre so that the reflections do not all meet in one place
CFL = 0.8  # fraction of a cell that the fastest wave may cross in one step

COLOURS = {  # colour of the water by its depth in m, from dark troughs to white crests
    0.4: "#061a40",
    0.7: "#0b3c73",
    0.9: "#0f6a9a",
    1.1: "#1c9bb4",
    1.4: "#67c9c4",
    1.8: "#c4ead8",
    2.6: "#fffdf2",
}


def initial_state(cells: int) -> Array:
    """Return (h, hu, hv) on a cells x cells grid: calm water with a column in it, its rim slightly rounded."""
    centre = (np.arange(cells) + 0.5) * BASIN / cells
    x, y = np.meshgrid(centre, centre)
    distance = np.hypot(x - COLUMN_CENTRE[0], y - COLUMN_CENTRE[1])
    inside = np.clip(0.5 + 0.5 * (COLUMN_RADIUS - distance) * cells / BASIN, 0.0, 1.0)
    state = np.zeros((3, cells, cells))
    state[0] = CALM_DEPTH + (COLUMN_DEPTH - CALM_DEPTH) * inside
    return state


def flux(state: Array) -> Array:
    """Return the physical flux along the sweep; state is (depth, momentum along it, momentum across it)."""
    h, along, across = state
    u = along / h
    return np.stack([along, along * u + 0.5 * GRAVITY * h * h, across * u])


def hll(left: Array, right: Array) -> Array:
    """Return the HLL flux between two states: the average over the fan of waves that leaves their interface."""
    u_left, u_right = left[1] / left[0], right[1] / right[0]
    c_left, c_right = np.sqrt(GRAVITY * left[0]), np.sqrt(GRAVITY * right[0])
    slow = np.minimum(np.minimum(u_left - c_left, u_right - c_right), 0.0)
    fast = np.maximum(np.maximum(u_left + c_left, u_right + c_right), 0.0)
    result: Array = (fast * flux(left) - slow * flux(right) + slow * fast * (right - left)) / (fast - slow)
    return result


def sweep(state: Array, ratio: float) -> Array:
    """Advance the state along its middle axis; ratio is time step over cell size."""
    # Two mirrored cells behind each wall, with the momentum into the wall reversed, let nothing through.
    padded = np.pad(state, ((0, 0), (2, 2), (0, 0)), mode="symmetric")
    padded[1, :2] *= -1.0
    padded[1, -2:] *= -1.0

    # Rise from the centre of a cell to its high face: half the difference to one of the two neighbours, the
    # smaller one, and none at all at an extremum (the minmod limiter).
    half = 0.5 * (padded[:, 1:] - padded[:, :-1])
    before, after = half[:, :-1], half[:, 1:]
    rise = np.where(before * after > 0.0, np.where(np.abs(before) < np.abs(after), before, after), 0.0)

    # Values at the low and the high face of each cell, half a time step later.
    low, high = padded[:, 1:-1] - rise, padded[:, 1:-1] + rise
    change = (0.5 * ratio) * (flux(low) - flux(high))
    low += change
    high += change

    # What flows out of a cell flows into its neighbour: this is why the mass is conserved.
    through = hll(high[:, :-1], low[:, 1:])
    return state - ratio * (through[:, 1:] - through[:, :-1])


def sweep_x(state: Array, ratio: float) -> Array:
    """Advance the state along x."""
    return sweep(state, ratio)


def sweep_y(state: Array, ratio: float) -> Array:
    """Advance the state along y: swap the axes and the two momenta, sweep, and swap back."""
    return swap_axes(sweep(swap_axes(state), ratio))


def swap_axes(state: Array) -> Array:
    """Exchange the roles of x and y."""
    swapped: Array = state[[0, 2, 1]].swapaxes(1, 2)
    return swapped


def time_step(state: Array, cell: float) -> float:
    """Return the time step for which the fastest wave crosses a fraction CFL of a cell."""
    h, hu, hv = state
    fastest = np.maximum(np.abs(hu), np.abs(hv)) / h + np.sqrt(GRAVITY * h)
    return CFL * cell / float(fastest.max())


def colour_table() -> Pixels:
    """Return 256 RGB colours (0..1) for the depths from the shallowest to the deepest of COLOURS."""
    depths = np.linspace(min(COLOURS), max(COLOURS), 256)
    channels = np.array([[int(colour[i : i + 2], 16) for colour in COLOURS.values()] for i in (1, 3, 5)]) / 255.0
    return np.stack([np.interp(depths, list(COLOURS), channel) for channel in channels], axis=-1).astype(np.float32)


def picture(depth: Array, pixels: int, table: Pixels) -> Image.Image:
    """Draw the water seen from above: coloured by depth, lit from the upper left."""
    smooth = Image.fromarray(depth[::-1].astype(np.float32)).resize((pixels, pixels), Image.Resampling.BICUBIC)
    height = np.asarray(smooth)
    down, right = np.gradient(height, BASIN / pixels)
    light = 1.0 + 0.4 * np.tanh(0.5 * (down + right))
    shade = (height - min(COLOURS)) / (max(COLOURS) - min(COLOURS))
    rgb = table[(255.0 * np.clip(shade, 0.0, 1.0)).astype(np.intp)] * light[..., np.newaxis]
    return Image.fromarray((255.0 * np.minimum(rgb, 1.0)).astype(np.uint8))


def simulate(cells: int, steps: int, every: int, pixels: int, frames: Path, log: Path) -> None:
    """Run the dam break, writing frames graph00000.png, graph00001.png, ... and one log line per step."""
    frames.mkdir(parents=True, exist_ok=True)
    table = colour_table()
    cell = BASIN / cells
    state = initial_state(cells)
    initial_depth = state[0]
    initial_mass = float(initial_depth.sum()) * cell**2
    time = dt = 0.0

    with log.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["step", "time", "dt", "mass", "relative_mass_error", "max_depth"])
        for step in range(steps + 1):
            if step > 0:
                dt = time_step(state, cell)
                first, second = (sweep_x, sweep_y) if step % 2 else (sweep_y, sweep_x)
                state = second(first(state, dt / cell), dt / cell)
                time += dt
            if not state[0].min() > 0.0:  # also true for not-a-number
                sys.exit(f"dam_break: the solution broke down at step {step} (time {time:.4f} s)")
            mass = float(state[0].sum()) * cell**2
            error = float((state[0] - initial_depth).sum()) * cell**2 / initial_mass
            rows.writerow([step, f"{time:.6f}", f"{dt:.6e}", f"{mass:.15g}", f"{error:.3e}", f"{state[0].max():.6f}"])
            if step % every == 0:
                image = picture(state[0], pixels, table)
                image.save(frames / f"graph{step // every:05d}.png", compress_level=1)

    print(f"{cells} x {cells} cells, {steps} steps, {time:.3f} s simulated, {steps // every + 1} frames")
    print(f"relative mass error at the end: {error:.1e}")


def main() -> None:
    """Read the command line and run the simulation."""
    parser = argparse.ArgumentParser(prog="dam_break", description="Circular dam break in a closed basin.")
    parser.add_argument("--grid", type=int, default=128, metavar="N", help="cells along each side (%(default)s)")
    parser.add_argument("--steps", type=int, default=400, metavar="N", help="time steps (%(default)s)")
    parser.add_argument("--every", type=int, default=4, metavar="N", help="steps between frames (%(default)s)")
    parser.add_argument("--pixels", type=int, default=320, metavar="N", help="side of a frame (%(default)s)")
    parser.add_argument("--frames", type=Path, default=Path("frames"), metavar="DIR", help="folder for the frames")
    parser.add_argument("--log", type=Path, default=Path("mass.csv"), metavar="FILE", help="mass-conservation log")
    args = parser.parse_args()

    if not 16 <= args.grid <= 2048:
        parser.error(f"--grid must be from 16 to 2048, not {args.grid}")
    if args.steps < 1:
        parser.error(f"--steps must be at least 1, not {args.steps}")
    if args.every < 1:
        parser.error(f"--every must be at least 1, not {args.every}")
    if not 16 <= args.pixels <= 4096 or args.pixels % 2:
        parser.error(f"--pixels must be an even number from 16 to 4096 (video needs even sides), not {args.pixels}")

    try:
        simulate(args.grid, args.steps, args.every, args.pixels, args.frames, args.log)
    except OSError as error:
        sys.exit(f"dam_break: cannot write the results: {error}")


if __name__ == "__main__":
    main()
