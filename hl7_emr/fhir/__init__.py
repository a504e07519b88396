"""FHIR R4: the patient's record read from a server, and results sent to it.

``source.py`` tells how a record is come by; ``client.py`` speaks with the server; ``statements.py`` reads resources;
``results.py`` writes the report.
"""
