"""The CWL conformance suite, run on Slurm by bee-cwl-runner."""
