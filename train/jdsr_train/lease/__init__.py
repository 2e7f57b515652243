"""Training on a machine that is lent for a short time: `python -m jdsr_train.lease COMMAND`.

The machine is reached by a copy of the checkout and one command at a time, and only a few files
come back from each command. train/gpu/README.md tells the calls. Nothing here imports torch, so
that a call begins at once; training itself is `jdsr train` in processes of its own.
"""
