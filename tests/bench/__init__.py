"""How fast the node receives and analyses, beside DCMTK's storescp and Orthanc, in one run on one machine.

Figures of different machines, or of different hours of a busy one, cannot be compared; ratios within one run can. So
all servers take turns in every round, each with fresh storage, and medians are told.
"""
