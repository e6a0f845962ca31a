#!/bin/sh
# A pass over a workflow (driver, or epilog when nothing is left to run). Rendered by beeflow; $1 is the pass's key.
# A pass can be run again at any point, so a killed one is tried again here before the next pending pass must do it.
trap 'stopped=1' TERM
stopped=0
export PYTHONPATH=@{pythonpath}
for try in 1 2 3; do
  @{python} -m beeflow.advance @{workflow_dir} "$1"
  code=$?
  # 128 and more: killed by a signal. Anything less is the pass's own word.
  if [ "$code" -lt 128 ] || [ "$stopped" = 1 ]; then
    break
  fi
  echo "beeflow: pass $1 ended with code $code (try $try)" >&2
done
exit "$code"
