"""Where records are kept: bytes by table and key, each until its time.

    base     what every store does (one contract, one suite of tests over all of them)
    memory   kept while the process lives
    disk     kept in a file: write-behind and a hot table in front of it
      worker   the one thread that writes to the file
      reader   the one that reads from it meanwhile
      rows     the file: diskcache, bytes only
      upgrade  files of earlier versions
      salvage  what can be read of a file that was set aside
      standin  in its place while it cannot be written: it is read, and what is new kept in memory
      place    the state directory: lock, permissions, setting aside what is damaged

Stores know nothing of what they keep: who keeps something encodes it, versions its encoding, and takes what it cannot
decode for absent.
"""
