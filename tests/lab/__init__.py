"""The lab: a whole small internet, and a mail server in it, in private namespaces on one machine.

Everything that answers is the real program: NSD serves the root, the top-level domains and some hosting, rbldnsd the
block and allow lists, Postfix the mail, and resolverd (or Unbound with Postgrey) stands where it stands in production.
Nothing leaves the machine, two labs never meet, and nothing stays behind however a lab ends.

::

    the internet side                                         the mail server's side (127.0.0.1)
      198.41.0.4 … 13 root servers, v4 and v6   NSD             :53     resolverd  or Unbound
      45.x.y.z, 2a00:45:…  name servers         NSD             :10023  resolverd  or Postgrey
      45.9x.…  the lists                        rbldnsd  <----  :8053   resolverd
      192.0.2.x 198.51.100.x 203.0.113.x                        :25     Postfix on 203.0.113.25
      2001:db8::/32  mail clients               smtp   ----->           and 2001:db8:25::25

Both sides share one loopback interface, unless a round trip between them is wanted: then they are two network
namespaces with a userspace wire between (`wire`).

========================  ==============================================================================================
`__main__`                 `python -m tests.lab`: the transcript, a shell, or any command inside fresh namespaces
`namespace`, `init`        going in, and the first process inside
`model`, `world`           what an internet is made of; this internet, as data
`questions`                what to ask of it, each question with its kind
`daemon`                   one real program as our child: start, wait until it answers, stop, pause
`nsd` … `resolverd`        one module for each program: its configuration, and how to see that it answers
`lab`                      puts them together; what tests and the transcript hold in their hands
`cases`                    attempts at delivery, and how each ends with the tutorial's programs and with ours
`smtp`, `tap`, `wire`      an SMTP client from any address; a count of queries; the round trip
`transcript`               the sessions that `python -m tests.lab` shows
`fleet`, `fleet_world`     three mail servers, each a machine of its own with Postfix and resolverd, and who writes to them
`redis`                    the store that they share; with sentinels
`wrong_clock`              resolverd on a machine whose clock is wrong
`traffic`, `outages`       mail to all three, and how each attempt is judged; what dies, hangs or is cut off meanwhile
`signed`                   a signed internet, every flaw that a signed zone can have, and Unbound to compare with
========================  ==============================================================================================
"""
