"""Files and images that are shared with a message: which are accepted, and how the model gets them."""
