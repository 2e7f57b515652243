"""The systems that the paper compares with its own (PAPER tables 3 and 4, SPEC 6)."""
