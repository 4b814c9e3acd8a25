"""Model providers: their lists of models, their streams and their errors."""
