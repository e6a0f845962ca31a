"""Archives: one .tgz a workflow, that standard tools open and check.

One top directory <id>/, regular files and folders only, sorted, without owners, so that the same tree gives the same
bytes. manifest-sha256.txt comes last.
"""
