"""What runs a task on a node, from the standard library alone, and of that only what starts fast.

Python itself starts in 11 ms of CPU time, and json, re, signal, subprocess, dataclasses and pathlib would each add as
much again (measured with Python 3.11): a scatter of short commands would spend its time importing. So the modules here
use os and the C parts below the others. cwltool is imported only where a task needs it (beeflow.node), once an element
and while commands run.
"""
