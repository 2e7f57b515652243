"""Training samples: degraded faces with priors, and faces with labelled parts."""
