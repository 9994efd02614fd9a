"""What datasets say of themselves, read."""
