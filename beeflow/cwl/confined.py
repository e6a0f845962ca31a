"""JavaScript without files, programs or an environment: node's vm, which cwltool runs it in, is no sandbox."""

from __future__ import annotations

import functools
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
    """cwltool's engine, and what runs in it cannot read a file or start a program."""

    # Its node is no other engine's.
    localdata = threading.local()

    def new_js_proc(self, js_text: str, *args: Any, **kwargs: Any) -> Any:
        """Start node; where there is none, cwltool looks for an image of it, which has no files of the host."""
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        if program is None:
            return super().new_js_proc(js_text, *args, **kwargs)
        made = process.start_piped([program, *_options(program), "--eval", js_text], _environment())
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
        log.warning("%s is older than 20: JavaScript of an archive that is not yours can read what you can", program)
        return ()
    complaints = []
    for option in _PERMISSION:
        tried = _ran(program, option, "--no-warnings", "--eval", "0")
        if tried.returncode == 0:
            return (option, "--no-warnings")
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
