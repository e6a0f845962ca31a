"""Faults at random moments, on a real Slurm: whatever happens, a workflow ends as if nothing had.

workload  the workflow, and what its tasks say of themselves
place     a private Slurm for many runs, a small disk, a folder a run
programs  sbatch and friends first on PATH, that fail when a plan says so
targets   the processes of a workflow
faults    what is done to a workflow, and when
verdict   what must hold when it is over
run       one seed
suite     many seeds
report    what came of them, in words and in a table
"""
