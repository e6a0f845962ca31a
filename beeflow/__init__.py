"""beeflow: CWL workflows on Slurm, with nothing of ours running between two jobs."""

__version__ = "0.1.0"
