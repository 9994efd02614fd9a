"""Certificates of a dataset's quality: issued from a report, verified by anybody, offline.

A certificate is an in-toto Statement v1 in a DSSE envelope, signed with Ed25519: this manifest of files was judged by
this rubric with this result, until this day, and that much is not claimed. `verification` is also the `verify.py` of
every bundle, so it imports nothing of this package.
"""
