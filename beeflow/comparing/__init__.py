"""What differs between two runs of a workflow.

values, tolerance, texts, arrays and workflows compare, and read nothing; archived and unarchived read what a run left.
"""
