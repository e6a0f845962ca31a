"""ro-crate-metadata.json: what an archive means to others (Workflow Run RO-Crate 0.5, on RO-Crate 1.1).

https://www.researchobject.org/workflow-run-crate/profiles/ has the profiles that are followed: Process, Workflow and
Provenance Run Crate. Entities are written one by one, so that 100,000 tasks need not be held at once.
"""
