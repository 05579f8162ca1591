"""Lines of a mail log: each gives a record or is counted, and the client of a refusal is the one that Postfix names."""

import io

from resolverd.ops.maillog import Reader, Rejection, cut
from tests.fuzz.target import target

_HEAD = b"Nov 30 06:25:33 mx "
_SEEDS = [
    _HEAD + b"postfix/smtpd[7]: NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 5.7.1 <r@o>: Recipient address rejected: Service "
    b"unavailable (Client host [192.0.2.1] blocked using x.y); https://x/; ref A; from=<s@e> to=<r@o> proto=ESMTP helo=<h>\n",
    b"2026-11-30T06:25:33.1+01:00 mx postfix/smtpd[7]: 4abcDEF01z: client=a[192.0.2.1]\n"
    b"Nov 30 06:25:33 mx postfix-in/qmgr[7]: 4abcDEF01z: from=<s@e>, size=1, nrcpt=1\n"
    b"Nov 30 06:25:33 mx postfix-in/smtp[7]: 4abcDEF01z: to=<r@o>, relay=x, delay=1, delays=1, dsn=2.0.0, status=sent (ok)\n",
    _HEAD + b"postfix/postscreen[7]: PREGREET 14 after 0.02 from [2001:db8::1]:4: EHLO x\n"
    + _HEAD + b"postfix/smtpd[7]: warning: a[192.0.2.1]: SASL LOGIN authentication failed: x\n"
    + _HEAD + b"postfix/smtpd[7]: lost connection after AUTH from a[192.0.2.1]\n",
    _HEAD + b"postfix/cleanup[7]: 4abcDEF01z: reject: header Subject: x from a[192.0.2.1]; from=<s@e> to=<r@o> proto=SMTP: no\n",
    _HEAD + b"resolverd[7]: 4abcDEF01z: action=pass, reason=new, delay=3, client_name=a, client_address=192.0.2.1, score=1.5\n"
    b'time=2026-11-30T06:25:33 level=info action=greylist reason="a b" sender=s@e\n'
    b'{"time": "2026-11-30T06:25:33", "action": "reject", "codes": "a+b"}\n',
]  # fmt: skip


@target(lambda: _SEEDS, 0.02, 3000)
def mail_log(data: bytes) -> None:
    """A piece of a log; behind it a line that nothing of it may spoil."""
    reader = Reader(20_000 * 86_400)
    records = list(reader.read(cut(io.BytesIO(data + b"\n" + _SEEDS[0]))))
    assert len(records) + reader.skipped == reader.lines
    last = records[-1]
    assert isinstance(last, Rejection)
    assert (last.client_address, last.list, last.sender) == ("192.0.2.1", "x.y", "s@e")
