"""What words on the command line may be; each that is not is a usage error which says what would be."""

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from resolverd.config import values
from resolverd.config.secrets import BadValue
from resolverd.spelling import did_you_mean
from resolverd.wire import codes, names

if TYPE_CHECKING:
    Word: TypeAlias = click.ParamType[str]
else:
    Word = click.ParamType  # not generic in click 8.2


class Choice(click.Choice[str]):
    """One of several words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(error.message.rstrip(".") + did_you_mean(str(value), self.choices), param, ctx)


class DomainName(Word):
    """A domain name; the root is written ``.``."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it was written."""
        try:
            names.from_text(value)
        except names.BadName as error:
            self.fail(f"{value!r} is no domain name: {error}", param, ctx)
        return str(value)


class RRType(Word):
    """A type of RRs: ``MX``, ``TYPE65``."""

    name = "type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In capitals."""
        try:
            return codes.type_text(codes.type_from_text(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Address(Word):
    """An IP address."""

    name = "ip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In its shortest form."""
        try:
            return str(ip_address(value))
        except ValueError:
            self.fail(f"{value!r} is no IP address", param, ctx)


class Prefix(Word):
    """What keys of a shared store begin with, as ``[store] prefix`` has it."""

    name = "prefix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it was written."""
        try:
            return values.prefix(value)
        except BadValue as error:
            self.fail(str(error), param, ctx)
