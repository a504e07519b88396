"""The DICOM network: what listens (scp) and what calls (scu). Nothing above knows of sockets."""
