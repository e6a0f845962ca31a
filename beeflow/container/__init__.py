"""Find the image that a tool runs in, at submit; beeflow.runner.containers wraps the command on the node."""
