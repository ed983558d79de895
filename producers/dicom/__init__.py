"""DICOM: C-STORE, C-ECHO and STOW-RS; header → arrival. Nothing is decoded here."""
