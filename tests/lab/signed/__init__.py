"""A signed internet: what proves DNSSEC validation, beside real Unbound.

==============  =====================================================================================================
`signer`         zones signed here, every part of which can be made wrong on purpose
`flaws`          what can be wrong with a zone, and what validators make of it
`world`          the internet, as data; its zone files
`mutations`      what can be wrong with one answer on its way; `mutator`, the server that does it
`questions`      what is asked
`running`        NSD, resolverd and Unbound, and asking them
`rounds`         `python -m tests.lab.signed.rounds WHAT FILE`: asks everything, writes what was said
`judge`          what an answer comes to, and where two of them differ
`dane`           mail to domains with TLSA records
==============  =====================================================================================================
"""
