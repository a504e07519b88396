"""The ledger: what was received, what became of it, what was sent. The only SQL of the project.

Start reading at ``states.py``; ``store.py`` is what the rest of the node sees.
"""
