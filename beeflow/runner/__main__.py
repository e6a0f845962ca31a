"""The program of a task job: python -I -S beeflow/runner/__main__.py; see beeflow.runner.main."""

import os
import sys

# Python was told to know no path but its own: that spares it the site-packages. Ours comes last, for what else may be
# there must not take the place of what comes with Python.
sys.path.append(__file__.rpartition("/beeflow/")[0])

from beeflow.runner.main import main

# All is written; Python's own end would take as long as the rest.
os._exit(main(sys.argv[1:]))
