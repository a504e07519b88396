"""The DICOM node: receives CT by C-STORE, runs the engine, returns SEG and Structured Reports to the PACS.

Start reading at ``pipeline.py``.
"""
