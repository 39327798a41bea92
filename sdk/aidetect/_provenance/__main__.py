"""`python -m aidetect._provenance` prints the table of signals for `docs/evidence.md`."""

from ._signals import markdown_table

print(markdown_table(), end="")
