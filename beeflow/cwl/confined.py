"""JavaScript without files, programs, network, signals or an environment.

node's vm, which cwltool runs it in, is no sandbox: who gets hold of one object of node's own makes functions there, and
has all of node. So it is given none; of what it gets all the same (the error of an import()), no function can be made
of text and no built-in changed; and should somebody find another way, node itself opens no file and starts no program.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import shutil
import threading
import weakref
from typing import Any

from cwl_utils.sandboxjs import NodeJSEngine

from beeflow import process
from beeflow.process import Completed, ProgramMissingError
from beeflow.tables import one_line

log = logging.getLogger(__name__)

# In place of cwl_utils' cwlNodeEngine.js: that gives the vm an object of node's own, and has node show whatever is
# thrown, which may bring a function that node calls with others.
_SCRIPT = """
"use strict";
const vm = require("vm");
const finished = FINISHED;
let incoming = "";
process.stdin.setEncoding("utf8");
process.on("unhandledRejection", () => {});
process.stdin.on("data", (chunk) => {
  incoming += chunk;
  const end = incoming.indexOf("\\n");
  if (end < 0) return;
  const code = JSON.parse(incoming.slice(0, end));
  incoming = incoming.slice(end + 1);
  let made = "", complaint = "";
  try {
    made = JSON.stringify(vm.runInNewContext(code, Object.create(null))) + "\\n";
  } catch (error) {
    complaint = shown(error) + "\\n";
  }
  process.stdout.write(made + finished);
  process.stderr.write(complaint + finished);
});
process.stdin.on("end", process.exit);
function shown(error) {
  try {
    return `${(error && error.stack) || error}`;
  } catch (_) {
    return "an error that cannot be shown";
  }
}
"""
# No function of node's own from text, and its built-ins as they are (of any version that is still in use).
_APART = ("--frozen-intrinsics", "--disallow-code-generation-from-strings", "--no-warnings")
# What starts node without access to files and programs: of 23.5 and later, of 20 to 23.
_PERMISSION = ("--permission", "--experimental-permission")
_PROGRAMS = ("nodejs", "node")
_START_S = 20.0
_CONFINES = 20
_VERSION = re.compile(r"v(\d+)\.")
_OTHER = "bad option"
_KEPT = ("PATH", "LD_LIBRARY_PATH")
_WIDTH = 1000


class ConfinedEngine(NodeJSEngine):
    """cwltool's engine, and what runs in it can compute, and nothing else."""

    # Its node is no other engine's.
    localdata = threading.local()

    def new_js_proc(self, _: str, *args: Any, **kwargs: Any) -> Any:
        """Start node; where there is none, cwltool looks for an image of it, which has no files of the host."""
        script = _SCRIPT.replace("FINISHED", json.dumps(self.process_finished_str))
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        if program is None:
            return super().new_js_proc(script, *args, **kwargs)
        made = process.start_piped([program, *_options(program), "--eval", script], _environment())
        weakref.finalize(self, _end, made)
        return made


def _end(child: Any) -> None:
    """End node, and close the pipes to it."""
    child.kill()
    child.communicate()


def _environment() -> dict[str, str]:
    """What starts node, and no more: one of a module may need its libraries."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {"PATH": os.defpath, **kept}


@functools.cache
def _options(program: str) -> tuple[str, ...]:
    """Find the options by which this node confines a script; raises ProgramMissingError when it should, and cannot."""
    told = _ran(program, "--version")
    found = _VERSION.match(told.stdout) if told.returncode == 0 else None
    if found is None:
        raise _unusable(program, told.message)
    if int(found[1]) < _CONFINES:
        log.warning(
            "%s is older than 20: JavaScript of an archive that is not yours may find a way to read what you can",
            program,
        )
        return _APART if _ran(program, *_APART, "--eval", "0").returncode == 0 else ()
    complaints = []
    for option in _PERMISSION:
        tried = _ran(program, option, *_APART, "--eval", "0")
        if tried.returncode == 0:
            return (option, *_APART)
        complaints.append(tried.message)
    # That an option is of another version says nothing.
    raise _unusable(program, next((each for each in complaints if _OTHER not in each), complaints[0]))


def _ran(program: str, *options: str) -> Completed:
    return process.run([program, *options], timeout_s=_START_S, env=_environment())


def _unusable(program: str, why: str) -> ProgramMissingError:
    return ProgramMissingError(
        f"{program}: JavaScript of an archive that is not yours cannot be confined with it: {one_line(why, _WIDTH)}; "
        "have a Node.js 20 or newer on PATH that starts, or re-execute with --trust"
    )


ENGINE = ConfinedEngine()
