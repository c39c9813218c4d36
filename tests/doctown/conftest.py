"""The sources of the cases are data, also where a file of theirs is named as a test."""

collect_ignore = ["cases"]
