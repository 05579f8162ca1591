"""The store in a file: write-behind, with a hot table in front of it.

- `opening`: opened, whatever its condition · `store`: what is asked · `key_filter`: what is surely not in the file
- `writer`: the one thread that writes · `reader`: the one that reads meanwhile · `jobs`: their queues
- `sqlite_file`: the file: diskcache, bytes only · `sqlite_errors`: is it at fault? · `upgrade`: files of earlier versions
- `recovery`: what can be read of a file that was set aside · `pending`: in its place while it cannot be written
- `cache_file`: another file, in which caches are kept over a restart
"""
