"""Run one pass over a workflow: what a driver or epilog job does (python -m beeflow.advance WORKFLOW_DIR KEY)."""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path

from beeflow import sharing, store
from beeflow.errors import EXIT_BUG, BeeError, SystemFileError
from beeflow.layout import Layout
from beeflow.listing import scheduler_of
from beeflow.masking import mask
from beeflow.models import WorkflowRecord, now
from beeflow.passes import Pass
from beeflow.scheduler.patient import PASS_S, Patience
from beeflow.submission import claim


class Masked(logging.Formatter):
    """Writes no credentials into log/passes.log: a message may quote a command line of Slurm's."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


def main(argv: list[str]) -> int:
    """Run the pass that this job is."""
    root, key = argv
    layout = Layout(Path(root))
    record = store.read_record(WorkflowRecord, layout.workflow)
    if record is None:
        raise SystemFileError(f"{layout.workflow}: not there")
    if record.group:
        # What this makes, and what the jobs do that it submits: Slurm hands the umask on.
        os.umask(sharing.UMASK)
    job_id = os.environ["SLURM_JOB_ID"]
    print(f"{now()} job {job_id}: {key} of workflow {record.id}", flush=True)
    if not claim(layout, key, job_id):
        print(f"{now()} job {job_id}: another job is {key}; nothing to do")
        return 0
    return Pass(layout, record, scheduler_of(record, os.environ, Patience(PASS_S))).run(key, job_id)


if __name__ == "__main__":
    # A pass is short and makes no garbage that is worth looking for among the records of 100,000 tasks.
    gc.disable()
    handler = logging.StreamHandler()
    handler.setFormatter(Masked("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        sys.exit(main(sys.argv[1:]))
    except BeeError as failure:
        print(f"error: {mask(str(failure))}", file=sys.stderr)
        sys.exit(failure.exit_code)
    except Exception:
        logging.getLogger(__name__).critical("this is a bug in beeflow; please report the lines below", exc_info=True)
        sys.exit(EXIT_BUG)
