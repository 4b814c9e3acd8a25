"""Files and images shared with a message: which are accepted, and how the model gets them."""
