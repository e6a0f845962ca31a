"""Run cwltool on several documents in one process (python -m tests.e2e.reference).

Reads name -> its command line from stdin; prints name -> [exit code, output object, what it said]. Containers that are
only hints are not used.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

from cwltool.main import main


def run(argv: list[str]) -> tuple[int, Any, str]:
    """Run one document as the program does."""
    out, said = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(said)
    code = main(["--no-container", *argv], stdout=out, stderr=said, logger_handler=handler)
    return code, json.loads(out.getvalue() or "null"), said.getvalue()


if __name__ == "__main__":
    print(json.dumps({name: run(argv) for name, argv in json.load(sys.stdin).items()}))
