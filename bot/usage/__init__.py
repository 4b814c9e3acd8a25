"""What model calls use, and how much may be used. Pure values, shared by all layers."""
