"""What calls of models use, and how much may be used. Pure values, shared by all layers."""
