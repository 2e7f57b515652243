"""jdsr: restore small and masked faces in surveillance footage."""

__version__ = "0.1.0"
