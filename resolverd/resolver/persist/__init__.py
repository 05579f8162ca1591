"""What is remembered, kept over a restart: written behind in batches, and read again when the daemon starts.

- `tables`: the caches as rows of a file: which of them have changed, and what a row means
- `records`: the form of a row
- `persistence`: when rows are written and read, and what becomes of a file that is of no use

Times are wall clock on disk. A row lives as long as what it was made of, never longer: what has expired, what is from the
future, and a file whose clock is not this one's are let go. The file is a cache as well: whatever is wrong with it costs no more
than the questions that it would have saved.
"""
