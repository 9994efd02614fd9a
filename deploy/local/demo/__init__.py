"""A whole competition on this machine: `python -m deploy.local.demo`."""
