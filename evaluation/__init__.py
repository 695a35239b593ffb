"""Says how good a model is, by asking it through the gateway as a user would and scoring the facts in its answers."""
