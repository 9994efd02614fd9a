"""What a dataset says of itself: its documents, descriptors and licences, read as untrusted text and never followed."""
