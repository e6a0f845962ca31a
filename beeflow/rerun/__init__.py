"""Re-execute an archive under a new id: whole or in part, with other inputs, on another system.

again has the use cases. A new workflow directory starts from the archive's documents and inputs alone; what else it may
have of the old run is what the user had taken from it, and provenance/, which nothing reads.
"""
