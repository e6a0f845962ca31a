"""JavaScript without files, programs or an environment: node's vm, which cwltool runs it in, is no sandbox."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import threading
import weakref
from typing import Any

from cwl_utils.sandboxjs import NodeJSEngine

from beeflow import process

log = logging.getLogger(__name__)

# What starts node without access to files and programs: of 23.5 and later, of 20 to 23.
_PERMISSION = ("--permission", "--experimental-permission")
_PROGRAMS = ("nodejs", "node")
_START_S = 20.0


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
    return {"PATH": os.environ.get("PATH", os.defpath)}


@functools.cache
def _options(program: str) -> tuple[str, ...]:
    """Find the options by which this node confines a script."""
    for option in _PERMISSION:
        options = (option, "--no-warnings")
        if process.run([program, *options, "--eval", "0"], timeout_s=_START_S, env=_environment()).returncode == 0:
            return options
    log.warning("%s is older than 20: JavaScript of an archive that is not yours can read what you can", program)
    return ()


ENGINE = ConfinedEngine()
