"""Measure restorers on faces that all of them receive alike (protocol of SPEC 5)."""
