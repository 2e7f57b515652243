"""The training loop and what it needs: stages, optimisation, checkpoints, logs, time limits."""
