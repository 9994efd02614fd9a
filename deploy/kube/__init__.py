"""A real Kubernetes on one machine without Docker, for tests of the chart: built with Go, kept in the cache."""
