"""The whole of a platform in one file: exported while it runs, imported where none of it is, or not all of it.

`python -m shared.archive export|import FILE` (and `jiebang ops export|import`). What is in it is of one moment of the
database: every document, every event that was published until then, how far each service had read, and every object.
"""
