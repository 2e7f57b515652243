"""A recipe of a tiny light generator, whose training takes seconds."""


def tiny_recipe(steps: int, batch: int, precision: str = "float32") -> str:
    """Return the recipe as TOML."""
    return f"""
[generator]
network = "lite"
scale = 8

[generator.arguments]
lr_size = 16
widths = [16, 16]
encoder_blocks = [1, 1]
decoder_blocks = [1]
tail_width = 16
tail_blocks = 1

[data]
drawn_masks = 2

[optimiser]
steps = {steps}
batch = {batch}
warmup = 1
precision = "{precision}"
"""
