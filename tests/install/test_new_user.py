"""What a new user does who follows README.md: a fresh Debian with Postfix as it comes, the package, the printed lines, a mail."""

import re
from pathlib import Path

from debian import Debian, comes

SCREENED = """
postconf -M# smtp/inet
postconf -M 'smtp/inet=smtp inet n - y - 1 postscreen' 'smtpd/pass=smtpd pass - - y - - smtpd' \
    'dnsblog/unix=dnsblog unix - - y - 0 dnsblog' 'tlsproxy/unix=tlsproxy unix - - y - 0 tlsproxy'
"""
"""As POSTSCREEN_README has it."""


def edited(debian: Debian, line: str, new: str) -> None:
    """Change one line of config.toml."""
    debian.run(f"sed -i 's#^{line}$#{new}#' /etc/resolverd/config.toml; grep -qxF '{new}' /etc/resolverd/config.toml")


def sent(debian: Debian, sender: str) -> str:
    """What swaks says of a mail to anna."""
    words = "swaks --server 203.0.113.25 --local-interface 192.0.2.7 --helo mail.example.com"
    return debian.run(f"{words} --from {sender} --to anna@our-company.org --timeout 30", chroot=False, status=None)


def replaced(debian: Debian, text: str) -> None:
    """Paste lines into main.cf, in the place of what stands there, with the command that the lines themselves name."""
    for command in re.findall(r"^# .*: (postconf -# .*)$", text, re.M):
        debian.run(command)
    debian.write("/tmp/lines", text)
    debian.run("cat /tmp/lines >>/etc/postfix/main.cf")


def starts_without_a_warning(debian: Debian) -> None:
    assert debian.run("postfix check") == ""
    started = debian.run("rm -f /var/log/mail.log; postfix start")
    assert comes(lambda: "daemon started" in debian.run("cat /var/log/mail.log"))
    assert not re.search("warning|error|fatal", started + debian.run("cat /var/log/mail.log"))


def test_from_package_to_greylisted_mail(debian: Debian, package: Path) -> None:
    debian.run(
        """
        adduser --quiet --disabled-password --gecos '' anna
        postconf -e 'myhostname = mx.our-company.org' 'mydestination = our-company.org, localhost' maillog_file=/var/log/mail.log
        postconf -e inet_protocols=ipv4
        """
    )
    debian.install(package)
    # Five minutes would be long; and that the clients' addresses are nobody's would be known without any DNS.
    edited(debian, "delay = .*", 'delay = "1s"')
    edited(debian, "builtin_except = .*", 'builtin_except = ["2.0.192.in-addr.arpa"]')
    daemon = debian.serves()
    resolv_conf = debian.run("resolverd config postfix --way nameserver")
    debian.write("/etc/resolv.conf", resolv_conf)
    debian.write("/var/spool/postfix/etc/resolv.conf", resolv_conf)
    debian.run("cp -a /etc/postfix /tmp/as-it-came")

    replaced(debian, debian.run("resolverd config postfix --way policy --enforce"))
    assert "\n#smtpd_relay_restrictions = " in debian.run("cat /etc/postfix/main.cf"), "nothing of the user's is lost"
    starts_without_a_warning(debian)
    assert re.search(r"^<\*\* 450 .*Greylisted", first := sent(debian, "first@example.com"), re.M), first
    assert comes(lambda: " 250 2.0.0 Ok: queued" in sent(debian, "first@example.com"))
    assert comes(lambda: "X-Greylist: delayed" in debian.run("cat /var/mail/anna", status=None))
    # There is no internet here; all else is as it should be.
    assert re.findall(r"\[([\w-]+)\]$", debian.run("resolverd doctor", status=None), re.M) == ["not-ready"]
    debian.run("postfix stop")
    debian.ends(daemon)

    # smtpd in its chroot, on a socket in there
    socket = "unix:/var/spool/postfix/private/resolverd"
    edited(debian, "listen = .*:10023.*", f'listen = ["{socket}", "127.0.0.1:10023"]')
    daemon = debian.serves()
    lines = debian.run("resolverd config postfix --way policy --enforce")
    assert "{ unix:private/resolverd, " in lines
    assert re.search(r"^smtp +inet +n +- +y ", debian.run("postconf -M smtp/inet"))
    replaced(debian, lines)
    starts_without_a_warning(debian)
    assert re.search(r"^<\*\* 450 .*Greylisted", first := sent(debian, "second@example.com"), re.M), first
    debian.run("postfix stop")

    for way, how in (("policy", ""), ("zone", ""), ("zone", "--enforce"), ("postscreen", "--enforce")):
        debian.run("rm -r /etc/postfix; cp -a /tmp/as-it-came /etc/postfix")
        if way == "postscreen":
            debian.run(SCREENED)
        replaced(debian, debian.run(f"resolverd config postfix --way {way} {how}"))
        starts_without_a_warning(debian)
        debian.run("postfix stop")
    debian.ends(daemon)
