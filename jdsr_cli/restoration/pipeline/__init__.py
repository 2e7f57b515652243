"""The stages that a frame passes, each in a file of its own, and what passes between them."""
