"""Training of the generators: data, masks, degradations, losses, recipes, trainer."""
