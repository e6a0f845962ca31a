"""What an archive would run and reach: it may come from a stranger.

Everything is read as plain JSON and YAML, nothing is evaluated. checking decides whether a re-execution may go on.
"""
