"""Training on a machine that is leased for a short time: `python -m jdsr_train.lease COMMAND`.

Each call copies the checkout to the machine, runs one command there and returns a few files; see
train/gpu/README.md. Nothing here imports torch, so that calls start quickly; the training runs as
`jdsr train` in processes of its own.
"""
