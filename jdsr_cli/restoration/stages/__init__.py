"""The stages of the pipeline, each a generator function from elements to elements."""
