"""The patient's record: what is known of the patient, where it comes from, and how far it can be trusted.

No pixels and no networks of neurons. Start reading at ``domain.py``.
"""
