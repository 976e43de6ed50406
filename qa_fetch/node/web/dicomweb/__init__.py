"""DICOMweb: QIDO-RS, WADO-RS and STOW-RS on the node's own index and files.

urls         which address is answered by what
answering    what every answer has in common, and refusals as one sentence of JSON
media        what a client accepts, and what it sends
questions    QIDO-RS parameters as a query of the node
qido         the answers to it
dicom_json   data sets as DICOM JSON
held         the objects that an address names
joined       files sent one behind the other, never in memory as a whole
wado         whole objects and their metadata
bulk         frames and other long values
rendered     pictures
stow         objects on their way in
"""
