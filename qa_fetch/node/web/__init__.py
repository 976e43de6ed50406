"""What the node shows and serves over HTTP: its pages, DICOMweb and annotations.

serving    waitress, in threads of the node's process
access     who may look, and who may store
urls       which address is answered by what
"""
