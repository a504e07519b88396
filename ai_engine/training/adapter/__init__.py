"""Training of the adapter that lets SAM2 outline a named part of a nodule: ``material``, ``loop``. Both need torch."""
