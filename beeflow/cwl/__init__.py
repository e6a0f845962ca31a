"""Everything that needs cwltool: load, validate, evaluate, prepare a command, collect outputs.

The only importer of cwltool, schema_salad and cwl_utils; and imported only by what needs it (bee-list must not
pay half a second for it).
"""
