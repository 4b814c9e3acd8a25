"""Where text comes from: the providers of models, their lists of models, and their streams."""
