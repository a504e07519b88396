"""DICOM objects on disk: received instances, series as volumes, results."""
