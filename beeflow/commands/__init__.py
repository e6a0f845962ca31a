"""The commands, one module each: its docstring is the --help, main(argv) returns the exit code."""

import os
import signal
import sys

# Half a second of imports comes before `cli.run` can answer Ctrl-C: until then it ends the program as any other, by the
# signal and without a word. Not where another program imports us, nor where the signal is ignored (nohup).
_program = os.path.basename(sys.argv[0]) if sys.argv else ""
if (_program == "-m" or _program.startswith("bee")) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
