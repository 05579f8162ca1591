"""Every bound on what a stranger can make us do, beside its RFC or the attack it stops. Times in seconds, sizes in octets."""

from typing import Final

# -- the log --------------------------------------------------------------------------------------------------------
BUG_LINES: Final = 10
"""Tracebacks of one kind logged in BUG_PAUSE (a packet that meets a bug, sent all day, would fill the disk)."""
BUG_PAUSE: Final = 60.0
"""Seconds after which they are logged again."""
BUG_KINDS: Final = 100
"""Kinds of which that is remembered."""

# -- messages -----------------------------------------------------------------------------------------------------
MAX_POINTER_HOPS: Final = 128
"""Compression pointers within one name: pointer chains (CVE-2026-114605)."""
MESSAGE_NAME_BUDGET: Final = 8192
"""Labels and pointers read in one message, all names together: the pointer staircase (CVE-2026-96405)."""
MAX_EDNS_OPTIONS: Final = 32
"""EDNS options read from one OPT record: option flood (CVE-2026-41292)."""
MAX_SIGNATURES: Final = 8
"""RRSIGs kept for one RRset: KeyTrap (CVE-2023-50387)."""
MAX_COMPRESSION_NAMES: Final = 120
"""Names for which a reply looks for compression, found or not: output compression cost (CVE-2024-8508, CVE-2026-44390)."""
MAX_UDP_SIZE: Final = 1232
"""Largest UDP reply, and the EDNS size we announce: no fragments (DNS flag day 2020, RFC 9715)."""
MIN_UDP_SIZE: Final = 512
"""What every client takes, and how smaller EDNS sizes are read (RFC 6891 §6.2.3)."""

# -- mail ----------------------------------------------------------------------------------------------------
HEADER_OCTETS: Final = 900
"""Octets of one header field: a line of mail holds 998 (RFC 5322 §2.1.1)."""

# -- one client question --------------------------------------------------------------------------------------------
MAX_QUERIES: Final = 64
"""Upstream queries for one client question, sub-queries and retries included, never reset (NXNSAttack, CAMP, TsuNAME)."""
MAX_LOOKUPS: Final = 24
"""Look-ups of name server addresses for one client question, whether they cost a query or not (TsuNAME, CAMP, CVE-2022-3204)."""
MAX_STEPS: Final = 200
"""Steps from zone to zone for one client question, those of its look-ups included (CAMP)."""
MAX_UPSTREAM_BYTES: Final = 200_000
"""Octets received from servers for one client question (CVE-2026-24027)."""
MAX_REFERRALS: Final = 30
"""Referrals followed for one name."""
MAX_CNAMES: Final = 11
"""CNAME and DNAME steps of one chain."""
MAX_DEPTH: Final = 5
"""Look-ups of name server addresses nested in each other."""
MAX_NS: Final = 13
"""Name servers kept of a delegation (NXNSAttack, CacheFlush)."""
MAX_ADDRESSES_PER_NS: Final = 6
"""Addresses kept of a name server (CVE-2026-3592)."""
MAX_NS_LOOKUPS: Final = 8
"""Name server addresses looked up for one delegation (NXNSAttack)."""
MAX_NS_FAILURES: Final = 5
"""Of those, how many may find nothing (NXNSAttack)."""
MAX_MINIMISE: Final = 10
"""QNAME minimisation steps for one name, the first four by one label (RFC 9156 §2.3)."""
MINIMISE_ONE_LABEL: Final = 4
"""Of those, how many take a single label (RFC 9156 §2.3)."""
RECURSION_TIME: Final = 8.0
"""Wall clock for one recursion, waiting client or not."""
RECURSION_GRACE: Final = 0.5
"""Seconds behind that after which it is ended, whatever it does."""
MAX_RECURSIONS: Final = 1000
"""Recursions in flight at once, LIST_QUESTIONS for zones of lists aside (water torture)."""
MAX_RECURSIONS_PER_ZONE: Final = 200
"""Of those, for names of one zone (water torture); half of all for a registry's, half of LIST_QUESTIONS for a list's."""
LOCAL_RECURSIONS: Final = 250
"""Of those, kept for the clients on this machine and for its own mail (water torture from outside)."""
JOSTLE: Final = 0.2
"""Seconds a recursion has for itself when all places are taken, counted from its first client (CVE-2026-42534)."""
MAX_CLIENTS_PER_QUERY: Final = 2000
"""Clients waiting for one and the same question: they cost little, and those of one address are bounded (DNSBomb)."""
MAX_KEPT_RRSET: Final = 64 * 1024
"""Memory of an RRset that is remembered; a larger one is passed on whole and forgotten (CacheFlush, CVE-2023-2828)."""
MAX_KEPT_AUTHORITY: Final = 8 * 1024
"""Memory of what is remembered beside an answer or a denial, its proofs; of more, no more than the SOA (CacheFlush)."""
MAX_TYPES_PER_NAME: Final = 100
"""Types of one name that are remembered; the one learnt first makes room for another (CVE-2024-1737)."""
GENERATED: Final = 65_536
"""Records that the ``$GENERATE`` lines of one master file make, all together: one for each address of a /16, some 80 MB while
they are read (a range mistyped, which has no end)."""

# -- validation ------------------------------------------------------------------------------------------------------
MAX_VERIFICATIONS: Final = 40
"""Signatures verified for one client question: delegation and keys of eight zones, and two for each of eleven CNAMEs; 40 ms with
the slowest algorithm (KeyTrap, CVE-2023-50387)."""
MAX_FAILED_VERIFICATIONS: Final = 4
"""Of those, how many may fail, whatever servers have sent them (KeyTrap)."""
MAX_FAILED_PER_RRSET: Final = 2
"""Of those, for one RRset of one server: a second try for keys that share their tag by chance (KeyTrap)."""
MAX_HASHES: Final = 64
"""Names hashed for NSEC3 for one client question (CVE-2023-50868)."""
MAX_KEYS_PER_TAG: Final = 2
"""Keys of one tag and algorithm tried for a signature; by chance two share one in every 65 536th pair (KeyTrap)."""
MAX_DNSKEYS: Final = 32
"""Keys of a zone; the root has four while it changes them, and with more the RRset is not believed (KeyTrap)."""
MAX_DS: Final = 8
"""DS records of a delegation, or of a trust anchor, that are compared with the zone's keys (KeyTrap)."""
MAX_RSA_BITS: Final = 4096
"""Of an RSA key's modulus (RFC 3110 §2, RFC 5702 §2): verification costs its square."""
MAX_RSA_EXPONENT_BITS: Final = 64
"""Of its exponent, usually 17: 4096 bits with 64 take 0.5 ms, 3072 with 3072 take 9 ms (CVE-2023-50387 and its kin)."""
MAX_PUBLIC_KEY: Final = 528
"""Octets of a public key that is remembered: an RSA key of those sizes has 521 (leading zeros by the kilobyte)."""
LOADED_KEYS: Final = 2000
"""Public keys kept as what the library verifies with, some 8 MB (a stranger has any number of zones)."""
MAX_NSEC3_ITERATIONS: Final = 150
"""Additional iterations of a zone's NSEC3 hash; with more it counts as insecure (RFC 9276 §3.2, CVE-2023-50868)."""
MAX_NSEC3_RECORDS: Final = 10
"""NSEC3 records of one message that are looked at; a denial takes three (CVE-2023-50868)."""
AGGRESSIVE_OCTETS: Final = 8 << 20
"""Memory of the records that answer for names never asked for: a stranger has any number of zones (CacheFlush)."""
AGGRESSIVE_ZONE_OCTETS: Final = 2 << 20
"""Of that, for one zone, whose records are a stranger's choice as well; the root's all take 1.6 MB (CacheFlush)."""
AGGRESSIVE_ROUNDS: Final = 500
"""Rounds of SHA-1 spent on finding one such answer; names have up to 127 labels, of which each is hashed (CVE-2023-50868)."""

MAX_PROOFS: Final = 12
"""NSEC and NSEC3 RRsets of one message whose signatures are looked at (KeyTrap, CVE-2023-50868)."""

# -- servers ----------------------------------------------------------------------------------------------------------
FIRST_TIMEOUT: Final = 0.4
"""Patience with a server never asked before: after it others are asked too, or it once more; its answer counts to the end."""
MIN_TIMEOUT: Final = 0.08
"""Patience with the fastest server."""
MAX_TIMEOUT: Final = 1.5
"""Patience with the slowest: three sends in a client's time."""
FORWARDER_TIMEOUT: Final = 1.0
"""Least patience with a forwarder, which may have to ask its way down from the root."""
TCP_TIMEOUT: Final = 1.0
"""Least patience with TCP and TLS: handshakes, slow start, and servers whose TCP has a queue of its own."""
MAX_TCP_TIMEOUT: Final = 3.0
"""The most of it: one lost SYN, which is repeated after a second (RFC 6298 §2)."""
LOOKUP_TIMEOUT: Final = 0.8
"""Patience with the look-up of a name server's address before another is looked up beside it."""
LATE_REPLIES: Final = 500
"""Questions that others have answered meanwhile and whose own replies are still listened to (descriptor exhaustion)."""
DEAD_TRIES: Final = 2
"""Sends to dead servers for one question, so that the end of an outage is noticed."""
CONFIRMED_USELESS: Final = 6
"""Servers of one question whose refusal has to be confirmed in lower case (0x20) before those of others are believed at once: a
delegation to many servers that refuse would cost two queries each, and more than there are (NXNSAttack and its kin)."""
MAX_BAD_REPLIES: Final = 10
"""Unreadable packets taken for one question before it is given up (TuDoor)."""
UPSTREAM_STREAMS: Final = 100
"""TCP and TLS connections to servers at once; beyond, the oldest is closed."""
UPSTREAM_PIPELINE: Final = 50
"""Questions in flight on one of them; beyond, another is opened."""
UPSTREAM_STALL: Final = 0.5
"""Seconds without a message after which a question that shares a connection is asked over one of its own as well; less where
answers there have been quick, and as much as for forwarders over TLS."""
MIN_UPSTREAM_STALL: Final = 0.15
"""The least of it."""
UPSTREAM_SOLE: Final = 20
"""Connections at once to a server that answers one question on each."""
MAX_SOLE_SERVERS: Final = 1000
"""Such servers remembered."""
UPSTREAM_CONNECT: Final = 6.0
"""Seconds for the handshakes of one, TCP's and TLS's; who needs it may give up earlier."""
UPSTREAM_IDLE: Final = 10.0
"""Seconds for which an unused one is kept (RFC 7766 §6.2.3)."""
SENDS_PER_SERVER: Final = 3
"""Sends to one server and transport for one question (RFC 9520 §3.1)."""
DEAD_AFTER: Final = 4
"""Timeouts in a row that make a server dead."""
PROBE_AFTER: Final = 30.0
"""A dead server is tried once in this time."""
FORGET_SERVER: Final = 900.0
"""What is known of a server is forgotten after this time."""
SERVER_BAND: Final = 0.4
"""Servers within this of the fastest are chosen among at random."""
MAX_SERVERS: Final = 20_000
"""Servers remembered."""
FAILURE_TTL: Final = 5.0
"""How long a failed resolution is remembered the first time; doubled up to MAX_FAILURE_TTL (RFC 9520 §3.2)."""
MAX_FAILURE_TTL: Final = 10.0
"""Longest memory of a failed resolution: RFC 9520 §3.2 allows 300, but who is back must not be refused for minutes."""
OUTAGE_HOLD: Final = 3.0
"""Seconds for which a zone whose servers have just been silent to our own question is not asked (RFC 9520 §3.2)."""
LOOP_HOLD: Final = 30.0
"""Seconds for which nothing is forwarded to who leads back to us (RFC 9520 §3.2: a loop is a resolution failure)."""
LOOPS_TOLD: Final = 100
"""Servers of which it is remembered that their leading back to us has been logged (a stranger may name us as his servers)."""
LOOP_PROBE: Final = 300.0
"""Seconds between two looks whether a forwarder does, each a question to it (whoever asks what is in flight is a reason)."""
OUTAGE_PATIENCE: Final = (0.5, 1.0)
"""Seconds for that question, first to one half of the zone's servers and then to the other."""
REACH_SERVERS: Final = 3
"""Servers of the root that are asked at a time whether the internet can be reached, and as many others."""
REACH_PATIENCE: Final = (0.7, 1.3)
"""Seconds for them to answer, and then for others."""
MAX_DELEGATION_TTL: Final = 86400
"""Longest lease of a delegation."""
DELEGATION_FRESH: Final = 60
"""Seconds for which a delegation whose servers fail is not asked for again at its parent."""
CACHED_DELEGATION_POINTS: Final = 200
"""Zones of which it is remembered for a second whom to ask (an attacker has any number of zones)."""
CACHED_SERVERS: Final = 5000
"""Addresses of which it is remembered that they may be asked."""
MAX_OUTAGES: Final = 1000
"""Zones remembered none of whose servers answers."""
ROOT_CHECK_TTL: Final = 60.0
"""Seconds for which the root's servers, having answered, are proof that nobody answers in everybody's place."""
NO_SOA_TTL: Final = 5
"""How long a denial without SOA is kept (RFC 2308 §5 would not keep it; a storm of repeats is worse)."""
DAMAGED_TTL: Final = 60
"""Longest life of data of which some may be missing: the next answer may be whole."""
BETTER_REPLY: Final = 0.05
"""Seconds for which a better answer than a damaged one is waited for (TuDoor)."""
MAX_BOGUS_ANSWERS: Final = 3
"""Servers whose answer to one question may be bogus before it is given up (RFC 4035 §5.5, CVE-2026-5950)."""
BOGUS_TTL: Final = 30.0
"""Seconds for which a zone with a broken chain of trust is not looked at again (RFC 4035 §4.7): its operator mends it."""
TRACKED_KEYS: Final = 6
"""Keys of a zone that are followed beside its trust anchors (RFC 5011 §6.1: who has stolen one could add any number)."""
BOGUS_LINES: Final = 10
"""Bogus answers logged in BOGUS_PAUSE (any number of names in one zone signed wrongly would fill the disk)."""
BOGUS_PAUSE: Final = 60.0
"""Seconds after which more are logged."""
BOGUS_NAME_PAUSE: Final = 600.0
"""Seconds after which the same name is logged again."""
BOGUS_NAMES: Final = 1000
"""Names of which that is remembered."""
NTA_LIFETIME: Final = 3600
"""Seconds for which a negative trust anchor lasts where nothing else is said (RFC 7646 §2: for as short as can be)."""
MAX_NTA_LIFETIME: Final = 7 * 86400
"""The most of it: one that is forgotten leaves a zone without DNSSEC (RFC 7646 §4)."""
NEGATIVE_ANCHORS: Final = 1000
"""Negative trust anchors set at run time (a script gone wild)."""
KEY_CACHE_OCTETS: Final = 8 << 20
"""Octets for the keys of zones, and which zones have none: five thousand signed ones (an attacker has any number of zones, with
thirty-two keys each)."""
PREFETCH_SHARE: Final = 0.1
"""Share of a TTL that is left when data that is asked for is fetched anew."""
STALE_TTL: Final = 30
"""TTL given to stale data (RFC 8767 §4)."""
SUPERSEDED_CACHE: Final = 1 << 20
"""Octets that recursions which were in flight at a flush or reload may learn for themselves alone, until they end."""
CACHE_UNWRITTEN: Final = 100_000
"""Names of one cache that wait to be written to disk, some 10 MB; with more, what is there is given up (a disk that hangs)."""
CACHE_CLEARED_ZONES: Final = 100
"""Zones flushed and not written yet; with more, what stands on disk is given up (a script gone wild)."""
CACHE_ROW: Final = 1 << 20
"""Octets of one row of the cache on disk; more types of one name than that are not kept (CVE-2024-1737)."""
CACHE_ROW_LIFETIME: Final = 7 * 86400.0
"""Seconds from when something was learnt to its end; whatever says to live longer was damaged. ``[cache] max_ttl`` is no more."""
CACHE_ABSENT: Final = 50_000
"""Names remembered as not on disk, while what is there is being read (names asked for are a stranger's choice)."""

# -- DNS clients --------------------------------------------------------------------------------------------------------
ACCESS_CLIENTS: Final = 10_000
"""Addresses of which it is remembered whether they may ask (spoofed ones have no end)."""
ACCESS_RATES: Final = 10_000
"""Networks of clients whose rates are remembered (an IPv6 client has more than one)."""
TURN: Final = 0.003
"""Seconds of processor time in one turn of the loop for what clients of DNS and policy sent over connections (pipelining in
heaps)."""
TURN_BEGUN: Final = 0.0005
"""Seconds of it that count for a verdict which is only begun there: what it costs in the turns to come."""
UPSTREAM_TURN: Final = 0.004
"""Seconds of processor time in one turn of the loop for replies of servers (all that were late, at once)."""
UDP_BATCH: Final = 64
"""Datagrams read in one wake-up, so that one socket cannot starve the loop."""
UDP_TURN: Final = 0.002
"""Seconds of processor time in one turn of the loop for one socket's questions that no prepared reply answers; the others stand
in line, so that replies, prepared ones and those of servers, and connections have their turn some milliseconds later (water
torture). As long again for reading on while they stand there: what is cached must not be lost among what is not."""
BACKLOG: Final = 1000
"""Of those in line, the most; beyond, the oldest is dropped."""
BACKLOG_AGE: Final = 0.5
"""Seconds in line after which a question is dropped: its client may wait for seconds, but younger ones are to be answered."""
MAX_KEPT_REPLY: Final = 4096
"""Octets of a prepared reply that is kept: replies of 64 KiB would soon push all others out (CacheFlush)."""
MAX_PENDING: Final = 4000
"""Datagrams of one socket waiting for their answer; more are dropped, and their clients ask again (water torture)."""
MAX_PENDING_PER_CLIENT: Final = 200
"""Of those, from one address: so many replies a slow server can let loose on it at once (DNSBomb)."""
MAX_PENDING_LOOPBACK: Final = 2000
"""The same for an address of this machine."""
TCP_CLIENTS: Final = 150
"""Connections at once; beyond, the longest idle one is closed."""
TCP_CLIENTS_PER_ADDRESS: Final = 20
"""Connections of one address at once, loopback excepted."""
TCP_IDLE: Final = 10.0
"""Seconds a connection may stay without a question (RFC 7766 §6.2.3); 2 when more than half of TCP_CLIENTS are in use."""
TCP_MESSAGE: Final = 2.0
"""Seconds from a message's first octet to its last (slow-loris)."""
COOKIE_LIFETIME: Final = 3600
"""Seconds for which a server cookie counts (RFC 9018 §4.3); from half of that on it is replaced."""
COOKIE_AHEAD: Final = 300
"""Seconds by which one may be of the future, where the clock was set back (RFC 9018 §4.3)."""
COOKIE_SECRET: Final = 86400.0
"""Seconds after which another secret makes them (RFC 7873 §7.1)."""
TLS_HANDSHAKE: Final = 3.0
"""Seconds from a connection to its finished TLS handshake, two round trips (slow-loris)."""
HEAP: Final = 2048
"""Octets sent at once by which a client counts as one that doesn't wait for its answers; those come behind others' then."""
TCP_READ: Final = 16 * 1024
"""Octets read of one connection at once; what is in them is worked off before more are read (pipelining in heaps)."""
TCP_TURN: Final = 16
"""Messages of one connection worked off before it is others' turn (pipelining in heaps)."""
TCP_IN_FLIGHT: Final = 16
"""Questions of one connection in flight at once."""
TCP_WRITE_BUFFER: Final = 256 * 1024
"""Replies waiting for a client that does not read; beyond, it is disconnected."""

# -- policy clients -----------------------------------------------------------------------------------------------------
POLICY_LINE: Final = 4096
"""Octets of one attribute line (Postfix itself has no limit: a line without end would fill the memory)."""
POLICY_ATTRIBUTES: Final = 128
"""Attributes of one request; Postfix 3.12 sends about 40 (attribute flood)."""
POLICY_REQUEST: Final = 64 * 1024
"""Octets of one request (many long attributes)."""
POLICY_STARTED: Final = 10.0
"""Seconds from a request's first octet to its last (slow-loris)."""
POLICY_IDLE: Final = 1100.0
"""Seconds a connection may stay without a request: above Postfix's smtpd_policy_service_max_ttl, so that Postfix ends it."""
POLICY_CONNECTIONS: Final = 1024
"""Connections at once; further ones are closed at once (descriptor exhaustion)."""
POLICY_READ: Final = 16 * 1024
"""Octets read of one connection at once; the requests in them are decided before more are read (a writer that never reads)."""
POLICY_HEAPS: Final = 16
"""Requests decided at once of clients that don't wait for the answer before they send more (pipelining in heaps)."""
POLICY_HARD_STOP: Final = 8.0
"""Seconds after which a request is answered DUNNO whatever we are doing: below the 10 s that main.cf gives us."""
POLICY_REPLY: Final = 500
"""Characters of a refusal: an SMTP reply line holds 512 octets (RFC 5321 §4.5.3.1.5)."""
POLICY_HEADER: Final = 990
"""Characters of a header to be prepended: a line of mail holds 998 (RFC 5322 §2.1.1)."""

# -- HTTP clients -------------------------------------------------------------------------------------------------------
HTTP_LINE: Final = 8190
"""Octets of a request line or one header field."""
HTTP_HEAD: Final = 24 * 1024
"""Octets of request line and headers together (header flood)."""
HTTP_HEADERS: Final = 100
"""Header fields of a request (header flood)."""
HTTP_BODY: Final = 64 * 1024
"""Octets of a request's body, or of one line of a stream (chunked bombs)."""
HTTP_PARAMETER: Final = 1024
"""Characters of one parameter: a mail address has 254 (RFC 5321 §4.5.3.1), Postfix's longest attribute less than this."""
HTTP_FAULTS: Final = 20
"""Faults of one request that are told, each with the nearest name that is known: that takes half a millisecond, and a body has
room for ten thousand names."""
HTTP_BODY_TIME: Final = 10.0
"""Seconds for a body, or for one line of a stream (slow body)."""
HTTP_IDLE: Final = 10.0
"""Seconds until a request's head is complete, on a fresh connection or a kept one (slow-loris)."""
HTTP_LINGER: Final = 1.0
"""Seconds for which the rest of a refused body is read and thrown away, so that its sender comes to read why."""
HTTP_PIPELINE: Final = 8
"""Requests that one connection may send ahead of its answers: browsers and libraries send none (pipelining in heaps)."""
HTTP_READ: Final = 2048
"""Octets of one connection taken in before its requests are counted, which may have 30 octets each (pipelining in heaps)."""
HTTP_CONNECTIONS: Final = 64
"""Connections at once; further ones are closed at once (descriptor exhaustion)."""
HTTP_STREAM_WINDOW: Final = 16
"""Verdicts of one stream in flight at once."""
HTTP_SESSIONS: Final = 32
"""Sessions of browsers at once; a further one ends the one used least lately (who has the token has no need of more)."""
HTTP_FAILED_LOGINS: Final = 256
"""Clients of which it is remembered that they tried a wrong token (anybody may)."""
HISTORY_ITEMS: Final = 500
"""Verdicts that one call of the history gives."""
HISTORY_READ: Final = 5000
"""Verdicts that one call of the history looks through (a question that nothing answers, among a hundred thousand)."""
HISTORY_TURN: Final = 100
"""Of those, how many in one go, some milliseconds."""

# -- what a mail may cost others ------------------------------------------------------------------------------------------
MAIL_CLIENT_QUERIES: Final = 40
"""Queries for all look-ups of names that the client of a mail chooses (its reverse name, HELO and the SPF record of that),
retries included."""
MAIL_SENDER_QUERIES: Final = 60
"""The same for the sender's domain: an SPF record of ten mechanisms with ten names each would send 450 to somebody else's
servers (RFC 7208 §11.1). Apart, or a client could spend on its own names what it takes to find a forged sender out."""
MAIL_ZONE_RATE: Final = 200
"""Queries a second to the servers of one registered domain for all mail together: many mails are as good as one large record."""
MAIL_QUESTIONS: Final = 256
"""Questions asked for one attempt, and times that a check goes on without having to wait: four names in forty lists are fewer,
a check gone wild is stopped."""
MAIL_TRANSACTIONS: Final = 2000
"""Messages of which it is remembered what came back for their checks: more than a mail server has sessions."""
MAIL_HEADERS: Final = 10_000
"""Messages with headers due: instances are the mail server's, but as many as strangers open sessions."""
MAIL_NAMES: Final = 1024
"""Names of which it is remembered what they are: mail comes from where it came, but a stranger has any number."""
MAIL_DOMAINS: Final = 4096
"""Domains for which that is remembered (they are a stranger's choice)."""

# -- lists --------------------------------------------------------------------------------------------------------------
LIST_QUESTIONS: Final = 2000
"""Questions to lists in flight at once; beyond, the answer is "not known" (a spam wave while lists are slow)."""
LIST_REPLIES: Final = 32_768
"""Replies of lists cached (clients and sender domains are a stranger's choice)."""
LIST_REPLY_OCTETS: Final = 16 * 1024 * 1024
"""Memory that they may take (their texts are a stranger's choice as well)."""
LIST_ON_DEMAND: Final = 2
"""Look-ups in all lists of the catalogue at once, a domain and its mail servers at most some 500 questions each: half of
`LIST_QUESTIONS` is left for mail, whoever looks up what."""
LOOKUP_SERVERS: Final = 5
"""Mail servers of a domain that are looked up with it (a domain of a hundred MX records, each asked of all lists)."""
LOOKUP_ADDRESSES: Final = 8
"""Addresses of these."""
LOOKUP_TIME: Final = 4.0
"""Seconds for a domain's mail servers, and for each subject to be asked of all lists."""
LIST_TIME: Final = 4.0
"""Patience with one question to a list; callers go on after their own deadline and find a late reply in the cache."""
LIST_RATE_WAIT: Final = 1.0
"""Longest wait for a list's rate; beyond, it counts as quota spent (a queue that only grows)."""
LIST_LEASE_TIME: Final = 1800.0
"""Outage of the shared store for which a host holds leases of a list's quota, at its pace of late."""
LIST_LEASE_WAIT: Final = 0.05
"""Longest wait for a lease where none is at hand; beyond, the list is not asked (a store that stalls holds no mail up)."""
FOREIGN_LISTS: Final = 256
"""Zones of lists asked only for clients that name them, keyed forms and parts, whose health is remembered: any process of this
machine may make keys up."""
LIST_REVERIFICATIONS_PER_NETWORK: Final = 3
"""Re-verifications of one list that one client network (/24, /48) has in two hours (60 bots of one provider, with names, leave
none for the good client of a list gone bad)."""
LIST_REVERIFICATION_NETWORKS: Final = 256
"""Networks remembered for that, twice as many as can have had one within two hours."""
LIST_SUBJECTS: Final = 512
"""Subjects of a list's answers that are distinguished: one client that comes a thousand times is one answer."""
LIST_ANSWERS: Final = 64
"""Different answers of a list whose share in its history is kept (a list gone mad may have any number)."""
KNOWN_GOOD_CLIENTS: Final = 256
"""Clients known as good that are kept: enough to choose from, too few to be worth filling."""
LIST_SHARED_TIME: Final = 0.02
"""Seconds that the store of a fleet has for what other hosts know of a subject, before a list is asked (a store that stalls)."""
LIST_SHARED_OCTETS: Final = 320
"""Octets of a shared reply; a longer one is none (whoever reaches the store)."""
LIST_SHARED_ADDRESSES: Final = 16
"""Addresses of a list's answer that is shared; of a longer one nobody is told (a list gone mad)."""
LIST_UNSHARED: Final = 256
"""Replies of one list that wait to be shared until the list has been seen to list anybody (a list that lists nobody)."""
LIST_FORGOTTEN: Final = 64
"""Flushes of lists' replies that are told apart, so that what was flushed does not come back from other hosts; more are one of
all (zones that are read anew every minute)."""
LIST_VIEWS: Final = 20_000
"""Views of other hosts on lists: a thousand hosts with twenty lists (whoever reaches the store)."""
LIST_REPUTATIONS: Final = 4096
"""Reputations cached, so that a TXT answer is that of its A."""

# -- the log ------------------------------------------------------------------------------------------------------------
WARNED_OF: Final = 20
"""Damaged records, of one kind, that are named in the log (somebody who writes a million of them into a shared store)."""
LOG_LINES: Final = 20_000
"""Lines that wait to be written: whoever reads the log may hang, and strangers make a line a mail."""

# -- the store ----------------------------------------------------------------------------------------------------------
STORE_RECORDS: Final = 200_000
"""Records kept in memory where there is no file, some 80 MB of triplets: strangers choose the keys, so without a bound they
would choose our size."""
STORE_OCTETS: Final = 1 << 30
"""Size of the file, some three million triplets: strangers choose the keys. A full store refuses, and mail passes."""
STORE_UNWRITTEN: Final = 100_000
"""Records waiting to be written, some 40 MB: what a flood can pile up while the disk is slow or full."""
STORE_HOT: Final = 20_000
"""Records kept at hand, some 8 MB."""
STORE_HOT_OCTETS: Final = 512
"""Octets of a value kept at hand; larger ones are read when they are asked for."""
STORE_FILTER_LEAST: Final = 1 << 20
"""Octets of the filter that knows which keys are not in the file; with three keys in ten octets it is wrong once in sixty."""
STORE_FILTER: Final = 8 << 20
"""As large as it gets: enough for a full file, whose keys are strangers' choice; beyond, it lets more be looked up."""
STORE_JOBS: Final = 2000
"""Reads waiting for one of the store's threads; beyond, mail passes at once (a disk that hangs during a spam wave)."""
STORE_CHANGES: Final = 1000
"""Changed keys kept for somebody who watches a table; beyond, the reader has to scan it (a reader slower than its writers)."""
HOSTS: Final = 2000
"""Hosts of one fleet that are known of; whoever reaches the store can write such records."""
HOST_RECORD: Final = 4000
"""Octets read of what a host says of itself."""
HOST_PERIOD: Final = 3600.0
"""Seconds after which a host says that it lives again, by its own account (one that said "in a year" would live as long)."""
HOST_NAME: Final = 255
"""Characters of a host's name (RFC 1035 §2.3.4), and of its version."""
STORE_UNSHARED: Final = 100_000
"""Records noted as not yet in the shared store, some 20 MB: an outage may be long. Beyond, all copies are merged when it ends."""
STORE_FORGOTTEN: Final = 10_000
"""Deletions of a watched table's records that are remembered (an admin's), lest another host's older account undo them."""
STORE_SHARED_READ: Final = 0.02
"""Seconds for a read of a shared store; behind it counts as not known (a server that is slow, far away or stalled)."""
STORE_SHARED_REPLY: Final = 0.25
"""Seconds for any reply of a shared store; behind it its connection is closed (a server that accepts and says nothing)."""
STORE_SHARED_PATIENCE: Final = 30.0
"""The same for what commands ask, which goes over a connection of its own: looking through all keys takes its time."""
STORE_SHARED_CONNECT: Final = 3.0
"""Seconds for a connection to a shared store, TLS and password included."""
STORE_SHARED_OCTETS: Final = 1 << 18
"""Octets of a value in a shared store: others may write to it whatever they like."""
STORE_SHARED_KEY: Final = 1024
"""Octets of a key in a table of a shared store; the longest of ours have 700. Longer ones are nobody's."""
STORE_SHARED_INFO: Final = 1 << 16
"""Octets read of what a server says of itself: real ones say 10 kB, the rest is for people."""
STORE_SHARED_PAGES: Final = 100_000
"""Pages, of a thousand keys, for which a server is searched (one that never comes to the end of its keys)."""
STORE_SHARED_MASTERS: Final = 1000
"""Masters of a cluster; its specification aims at no more (a server that names any number of others)."""
STORE_REPLY_LINE: Final = 4096
"""Octets of the line that a reply, or a part of it, begins with (another program on that port)."""
STORE_REPLY_STRING: Final = 1 << 19
"""Octets of a string in a reply: twice as many as a value may have, as a message has its key as well."""
STORE_REPLY_OCTETS: Final = 8 << 20
"""Octets of a whole reply: all keys of a table that is watched, `STORE_RECORDS` at the most (a hostile server)."""
STORE_REPLY_ELEMENTS: Final = 250_000
"""Elements of a whole reply, lists included: those keys, or the slots of the largest cluster."""
STORE_REPLY_DEPTH: Final = 8
"""Lists within lists; those of a cluster's slots have four."""
STORE_MESSAGES: Final = 2000
"""Messages on changes that are read a second: one host changes some a minute (somebody who publishes without end). More wait
at the server, which ends the connection at last; then the tables are looked through."""
STORE_MESSAGE_OCTETS: Final = 8 << 20
"""Octets of them a second."""
STORE_SHARED_KEYS: Final = 50_000
"""Keys of a shared table held at a time, twice as many for moments, while it is gone through (it grows with strangers' mail)."""
STORE_SHARED_RECENT: Final = 20_000
"""Records written lately, which a server that takes over may not have got (failover by sentinel)."""
STORE_SHARED_RECENT_OCTETS: Final = 8 << 20
"""Of their values: pages of verdicts are large."""
STORE_SHARED_PREFETCHED: Final = 10_000
"""Records read ahead, for a moment."""
STORE_TABLES: Final = 1000
"""Names of tables kept at hand: there are two dozen, unless somebody makes some up."""
AUDIT_ENTRIES: Final = 1000
"""Changes of one host that wait for the others to have them in their logs."""
AUDIT_ENTRY: Final = 16 << 10
"""Octets read of one."""
AUDIT_READ: Final = 20_000
"""Of all hosts' together, read in one go: whoever reaches the store can write them."""

VERDICTS: Final = 100_000
"""Verdicts kept; every connection makes one, so strangers decide how many there are."""
VERDICT_OCTETS: Final = 128 << 20
"""Octets of all of them (their texts are a stranger's choice as well): an eighth of the store, which greylisting needs more."""
VERDICT_INDEX: Final = 2000
"""Parts read of what another host says which verdicts it has given, of some 300 each: whoever reaches the store can write it."""
VERDICT_INDEX_PART: Final = 256 << 10
"""Octets of one part; a larger one counts as damaged."""
VERDICT_PAGE: Final = 4 << 20
"""Octets of a page of another host's verdicts; a larger one counts as damaged."""
EVIDENCE_OCTETS: Final = 300
"""Octets of one answer that are kept as they came, for who reads them; of a longer record (a stranger's TXT) its words."""
VERDICT_ATTRIBUTE: Final = 320
"""Characters kept of a name or address that an attempt came with (a client that says 2 kB of HELO name): a mail address has 254
(RFC 5321 §4.5.3.1), a name 255 octets (RFC 1035 §2.3.4)."""
VERDICT_FINDINGS: Final = 256
"""Findings whose octets are kept at hand, for the next verdict that has the same: of clients that send now."""
VERDICTS_UNWRITTEN: Final = 5000
"""Verdicts waiting to be handed to the store, some 10 MB; the oldest is let go while it has no room."""
VERDICTS_DRY: Final = 500
"""Of those that were only tried out: in a place of their own, so that they never push a real one out."""
VERDICTS_CACHED: Final = 2000
"""Verdicts that the next mail from the same client for the same sender's domain finds made, some 20 MB: who is to be served so
has come a second time within minutes (a botnet comes once)."""
VERDICT_CACHE_TEXT: Final = 1000
"""Characters of names and addresses in an attempt beyond which none is kept (a client that says 2 kB of HELO name)."""
REPLAY_REMEMBERED: Final = 100_000
"""Clients, and who wrote to whom, of whom a replay knows that they were let in later, some 10 MB each: as many as there are
verdicts kept, and of a log the youngest."""
REPLAY_WAITING: Final = 1000
"""Decisions of a mail log that wait for Postfix's own line on the same refusal, which comes within milliseconds."""
REPLAY_TOLD: Final = 1000
"""Changed verdicts that a replay tells one by one; those beyond are counted."""
REPLAY_UNKNOWN: Final = 100
"""Kinds of what was not known that a replay counts one by one: lists and record types; those beyond are counted together."""
VERDICT_CLIENTS: Final = 10_000
"""Clients whose last verdict is found by address (a botnet has more)."""

NOTE: Final = 200
"""Characters of a reason, an owner or a reference, of an override or a negative trust anchor (whoever reaches the store)."""
OVERRIDES: Final = 100_000
"""Overrides kept: what a fail2ban gone wild may put into memory (some 60 MB)."""

CLIENT_NOTES: Final = 10_000
"""Clients noted and not written down yet, and clients whose refusals are counted (a botnet has more addresses)."""

# -- telemetry ------------------------------------------------------------------------------------------------------------
SERIES_NAMES: Final = 2000
"""Time series at once; a hundred lists and the codes of all checks make 800 (a bug must not make names without end)."""
SERIES_OCTETS: Final = 8 << 20
"""Octets of a stored ring when unpacked (a damaged record that unpacks without end)."""
NOTICES_WAITING: Final = 16
"""Notices that wait to be delivered by one way; with more, the oldest is given up (a webhook that is away for days)."""
FEED_LISTENERS: Final = 16
"""Who may follow the live feed at once: each is a connection that stays (descriptor exhaustion)."""
FEED_QUEUE: Final = 256
"""Events that wait for one of them; what comes meanwhile is dropped, counted and told (a reader that does not read)."""
FEED_HEARTBEAT: Final = 15.0
"""Seconds after which a silent feed says that it is there."""
FEED_LOOK: Final = 1.0
"""Seconds within which a listener who has left is noticed: its place is another's (a page that is reloaded again and again)."""
FEED_PATIENCE: Final = 60.0
"""Seconds for which a listener may read nothing before it is disconnected (slow read)."""
FEED_LIFETIME: Final = 3600.0
"""Seconds of one stream (a page that nobody closes)."""

# -- SPF ----------------------------------------------------------------------------------------------------------------
MAX_SPF_TERMS: Final = 10
"""Terms of one check that have to be looked up, includes and redirects with theirs (RFC 7208 §4.6.4)."""
MAX_SPF_VOIDS: Final = 2
"""Of those, how many may find nothing (RFC 7208 §4.6.4: names of a victim, asked for by everybody)."""
MAX_SPF_NAMES: Final = 10
"""Mail servers of one ``mx``, and reverse names of a client, whose addresses are looked up (RFC 7208 §4.6.4)."""
MAX_SPF_RECORD: Final = 16 * 1024
"""Octets of a record (RFC 7208 §3.4 advises 450; flattened ones have thousands)."""
MAX_SPF_TEXT: Final = 32 * 1024
"""Octets of all records of one check: ten of the longest are a tenth of a second's work that nobody's mail needs."""
MAX_SPF_DOMAIN_SPEC: Final = 512
"""Characters of one domain in a record, before its macros are expanded (expansion blow-up)."""
MAX_SPF_EXPLANATION: Final = 1024
"""Octets of an explanation, before its macros are expanded (expansion blow-up)."""
SPF_PARSED: Final = 256 * 1024
"""Octets of the texts of records that are remembered parsed, in which they take some fifty times as much memory."""
SPF_WIDE_IPV4: Final = 7
"""A record that names as much as this prefix holds lets anybody pass: no sender has more than a /8."""
SPF_WIDE_IPV6: Final = 16
"""The same for IPv6: no network has been given more than a /16."""
MAX_SPF_ALLOWED: Final = 10
"""Own forwarders whose records are looked at when SPF fails."""
EXPRESSION_STATES: Final = 500
"""Of the automaton of an admin's regular expression: what one name costs is no more than this times its length (CWE-1333)."""
EXPRESSION_STEPS: Final = 1000
"""Of an automaton that are remembered; a name finds nearly all of them there."""
EXPRESSION_TEXT: Final = 512
"""Characters of what is matched with an expression: a name has 253, an address 320 (RFC 5321 §4.5.3.1)."""
EXPRESSION_DEPTH: Final = 50
"""Groups within groups."""

# -- mail logs ----------------------------------------------------------------------------------------------------------
LOG_LINE: Final = 16 * 1024
"""Octets read of a line of a mail log: Postfix's have 2000, syslog's 8192; the rest of a longer one is passed over."""
LOG_MESSAGES: Final = 50_000
"""Messages of a log of which more lines may come, by queue id: whoever sends many would have a report need memory without end."""
REPORT_ROWS: Final = 10_000
"""Senders, clients, reasons … of a report that are counted each; of more, the rarest are forgotten: a botnet has millions."""
REPORT_PENDING: Final = 50_000
"""Mails refused or greylisted that a report waits for to come back."""
REPORT_DAYS: Final = 400
"""Days of a report."""
