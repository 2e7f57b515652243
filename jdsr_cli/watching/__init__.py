"""Restoration of recordings as a recorder finishes them."""

from jdsr_cli.watching.loop import watch

__all__ = ["watch"]
