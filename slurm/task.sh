#!/bin/sh
# A job of one workflow step: one array element, or the only one. Rendered by beeflow; $1 is the submission's key and
# the number of the element that array index 0 runs. -I -S: Python looks for no module but its own and ours.
trap : TERM # the runner settles a scancel or a time limit; this shell only waits for it
run() { @{python} -I -S @{runner} @{workflow_dir} @{group} "$@@"; }
run "$1"
code=$?
if [ "$code" -gt 128 ]; then
  echo "beeflow: the task runner was killed by signal $((code - 128))" >&2
  run "$1" sweep
elif [ "$code" -gt 1 ]; then
  echo "beeflow: the task runner ended with exit code $code" >&2
fi
exit "$code"
