"""The platform's image: what builds it, and what it is made of."""
