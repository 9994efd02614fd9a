"""The Helm chart, and what it is checked and documented with."""
