"""Postfix access maps read from their source files' text (access(5)).

Two forms: ``key result`` lines, as postmap(1) takes them for hash, btree, lmdb and texthash, and cidr_table(5). Both have
logical lines: one that begins with white space goes on with the one before; empty lines and those that begin with ``#`` are
passed over. Results are OK, DUNNO, REJECT, DEFER, DEFER_IF_PERMIT, 4NN and 5NN with text behind them, digits alone, which are
OK, and the restrictions ``permit``, ``reject`` and ``defer``.

Of every other result it is said that nothing here acts on it. Its line counts as DUNNO: it ends the search for its key, as
in Postfix, where none of these words refuses by itself, so that no REJECT of a domain above it comes to its place. A line
without key or result, or with a network that is none, is passed over, as postmap(1) and cidr_table(5) do; the others count.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from resolverd.mail.findings import SmtpReply
from resolverd.mail.patterns import LineFault
from resolverd.mail.sanitize import sanitize
from resolverd.overrides.postfix_maps import AccessMap, CidrMap, CidrPattern, CidrRule, KeyMap, MapEntry, Verb

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)", re.ASCII)
_CODE = re.compile(r"[45]\d\d", re.ASCII)
_DOTTED = re.compile(r"(?:\d{1,3}\.){1,3}", re.ASCII)
_NETWORK_KEY = re.compile(r"[0-9a-fA-F.:]+/\d{1,3}", re.ASCII)
_DENIED: Final = "Access denied"
_RESTRICTIONS: Final = ("PERMIT", "REJECT", "DEFER")
"""Restrictions of smtpd (postconf(5)) that are results here too."""
_STRAY: Final = "begins with white space, and there is no line that it could go on with"


class Reading(NamedTuple):
    """A map, and the lines that do not count in it, match nobody, or do not act as they would in Postfix."""

    map: AccessMap
    faults: tuple[LineFault, ...]


def read(name: str, kind: str, text: str) -> Reading:
    """The map of a file's text; `kind` as main.cf has it in front of the file's name."""
    if "\0" in text:
        fault = LineFault(1, "is no text: name the source of a map, not what postmap(1) has made of it")
        return Reading(KeyMap(name, {}), (fault,))
    return _read_cidr(name, text) if kind == "cidr" else _read_keys(name, text)


def _read_keys(name: str, text: str) -> Reading:
    faults: list[LineFault] = []
    entries: dict[str, MapEntry] = {}
    for number, line in logical_lines(text):
        try:
            key, result = _split(line)
        except ValueError as error:
            faults.append(LineFault(number, str(error)))
            continue
        entry, remark = _meaning(number, result)
        first = entries.setdefault(key.lower(), entry)
        if first is not entry and first.result != entry.result:
            remark = f"{sanitize(key, 80)!r} stands in line {first.line} already, which holds"
        if remark := _useless(key) or remark:
            faults.append(LineFault(number, remark))
    return Reading(KeyMap(name, entries), tuple(faults))


def _read_cidr(name: str, text: str) -> Reading:
    faults: list[LineFault] = []
    rules: list[CidrRule] = []
    seen: dict[tuple[CidrPattern, ...], MapEntry] = {}
    blocks: list[tuple[int, CidrPattern | None]] = []
    for number, line in logical_lines(text):
        try:
            if line.strip().lower() == "endif":
                _leave(blocks)
                continue
            key, result = _split_cidr(line)
            if key.lower() == "if":
                # Whatever is wrong with it, the lines up to its endif are meant for those that it names only.
                blocks.append((number, None))
                blocks[-1] = (number, _pattern(result))
                continue
            around = tuple(_sound(blocks))
            pattern = _pattern(key)
        except ValueError as error:
            faults.append(LineFault(number, str(error)))
            continue
        entry, remark = _meaning(number, result)
        first = seen.setdefault((*around, pattern), entry)
        if first is not entry and first.result != entry.result:
            remark = f"{sanitize(key, 80)!r} stands in line {first.line} already, which holds"
        if remark:
            faults.append(LineFault(number, remark))
        rules.append(CidrRule(pattern, entry, around))
    faults += [LineFault(number, "is an if without its endif: it reaches to the end of the file") for number, _ in blocks]
    return Reading(CidrMap.of(name, rules), tuple(sorted(faults)))


def _leave(blocks: list[tuple[int, CidrPattern | None]]) -> None:
    if not blocks:
        raise ValueError("is an endif without an if")
    blocks.pop()


def _sound(blocks: Iterable[tuple[int, CidrPattern | None]]) -> Iterator[CidrPattern]:
    """The patterns of the ``if`` lines that a line stands below."""
    for number, pattern in blocks:
        if pattern is None:
            raise ValueError(f"does not count, as it stands below the if of line {number}")
        yield pattern


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each logical line with the number of its first line."""
    number, parts = 0, [""]
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and number:
            parts.append(line)
            continue
        if number:
            yield number, "".join(parts)
        number, parts = at, [line]
    if number:
        yield number, "".join(parts)


def _split(line: str) -> tuple[str, str]:
    """Key and result of a logical line, split as postmap(1) does: at the first blank that is neither within quotation marks,
    which stay part of the key, nor behind a backslash."""
    if line[0].isspace():
        raise ValueError(_STRAY)
    line = line.strip()
    quoted = False
    at = 0
    while at < len(line) and (quoted or not line[at].isspace()):
        quoted ^= line[at] == '"'
        at += 2 if line[at] == "\\" else 1
    if quoted:
        raise ValueError("has a quotation mark that is not closed")
    return _both(line[:at], line[at:].strip())


def _split_cidr(line: str) -> tuple[str, str]:
    """The same of a line of a cidr map, in which nothing is quoted."""
    if line[0].isspace():
        raise ValueError(_STRAY)
    outside = "!" * line.startswith("!")
    key, *rest = line[len(outside) :].split(None, 1) or [""]
    return _both(outside + key, rest[0].strip() if rest else "")


def _both(key: str, result: str) -> tuple[str, str]:
    if not result:
        raise ValueError(f"{sanitize(key, 80)!r} has no result; expected KEY RESULT")
    return key, result


def _meaning(number: int, result: str) -> tuple[MapEntry, str]:
    """What a result does, and a remark on one that does something else in Postfix."""
    decide, *rest = result.split(None, 1)
    text = rest[0] if rest else ""
    shown = sanitize(result, 200)
    verb = decide.upper()
    if verb.endswith(",") and verb[:-1] in _RESTRICTIONS:
        verb, text = verb[:-1], ""  # a list of restrictions, of which the first decides
    if verb in ("OK", "RELAY", "PERMIT") or (result.isascii() and result.isdigit()):
        return MapEntry(number, shown, Verb.OK), ""
    if verb == "DUNNO":
        return MapEntry(number, shown, Verb.DUNNO), ""
    if verb == "REJECT":
        return MapEntry(number, shown, Verb.REJECT, _reply(554, text)), ""
    if verb == "DEFER":
        return MapEntry(number, shown, Verb.DEFER, _reply(450, text)), ""
    if verb == "DEFER_IF_PERMIT":
        # What a map defers here is refused where anything else refuses it.
        return MapEntry(number, shown, Verb.DEFER, _reply(450, text, "Service unavailable")), ""
    if text and _CODE.fullmatch(decide):
        return MapEntry(number, shown, Verb.REJECT, _reply(int(decide), text)), ""
    return MapEntry(number, shown, Verb.DUNNO), (
        f"{sanitize(decide, 40)!r} is not acted on here, so the line counts as DUNNO;"
        " these are: OK, DUNNO, REJECT, DEFER, 4NN, 5NN, permit"
    )


def _reply(code: int, text: str, usual: str = _DENIED) -> SmtpReply:
    """A refusal; an enhanced code at the beginning of the text is its own, made to fit the code (RFC 3463 §2)."""
    enhanced = f"{code // 100}.7.1"
    if (own := _ENHANCED.match(text)) is not None:
        enhanced, text = f"{code // 100}{own[1][1:]}", text[own.end() :]
    return SmtpReply(code, enhanced, sanitize(text, 300) or usual)


def _pattern(key: str) -> CidrPattern:
    """A network, or with ``!`` in front what is outside it."""
    return CidrPattern(_network(key.removeprefix("!").strip()), key.startswith("!"))


def _network(key: str) -> IPv4Network | IPv6Network:
    text = key.replace("[", "", 1).replace("]", "", 1) if key.startswith("[") else key
    address, slash, length = text.partition("/")
    try:
        if slash and not (length.isascii() and length.isdigit()):
            raise ValueError
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{sanitize(key, 80)!r} is no network") from None
    if ip_address(address) != meant.network_address:
        raise ValueError(f"{sanitize(key, 80)!r} has host bits set; the network is {meant}")
    if meant.version == 6 and meant.prefixlen >= 96 and (inner := meant.network_address.ipv4_mapped) is not None:
        raise ValueError(f"{sanitize(key, 80)!r} matches nobody: write {inner}/{meant.prefixlen - 96}")
    return meant


def _useless(key: str) -> str:
    """Why smtpd(8) never looks a key up, if it does not."""
    why = _why_never(key)
    return f"{sanitize(key, 80)!r} matches nobody: {why}" if why else ""


def _why_never(key: str) -> str:
    if '"' in key:
        return "quotation marks are part of a key, and no name has any"
    if len(key) > 2 and key.startswith("/"):
        return "expressions stand in a regexp or pcre map, which cannot be read here; this file is read as KEY RESULT lines"
    if "*" in key:
        return "there are no wildcards in a map; a domain means the domains below it too, 192.0.2 all addresses that begin so"
    if key.startswith("."):
        return f"as in Postfix by default {sanitize(key[1:], 80)!r} means the domains below it too"
    if _NETWORK_KEY.fullmatch(key):
        return "networks stand in a cidr map, named as cidr:FILE"
    if "@" in key:
        return "clients and HELO names are no mail addresses"
    if _DOTTED.fullmatch(key):
        return "the beginning of an address stands without the dot at its end"
    if key.endswith("."):
        return "names stand without the dot at their end"
    if not key.isascii():
        return "names of clients and HELO names are ASCII (A-labels, xn--...)"
    try:
        address = ip_address(key)
    except ValueError:
        return ""
    if address.version == 6 and (address.ipv4_mapped is not None or str(address) != key.lower()):
        return f"smtpd knows this address as {address.ipv4_mapped or address}"
    return ""
