"""Find, segment, measure and score lung nodules in one CT volume.

Arrays and plain values in, findings out: no DICOM, no sockets, no database. Start reading at ``engine.py``.
"""
