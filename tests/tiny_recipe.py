"""A recipe of a tiny light generator, whose training takes seconds."""


def tiny_recipe(
    steps: int, batch: int, precision: str = "float32", *, scale: int = 8, masks: int = 2
) -> str:
    """Return the recipe as TOML."""
    return f"""
[generator]
network = "lite"
scale = {scale}

[generator.arguments]
lr_size = {128 // scale}
widths = [16, 16]
encoder_blocks = [1, 1]
decoder_blocks = [1]
tail_width = 16
tail_blocks = 1

[data]
drawn_masks = {masks}

[optimiser]
steps = {steps}
batch = {batch}
warmup = 1
precision = "{precision}"
"""
