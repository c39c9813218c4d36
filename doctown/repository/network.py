"""Which servers a service may fetch repositories from: hosts by name, and no address inside its own network.

On the command line nothing is restricted. A service takes URLs from strangers, who must not reach through it what only
it can reach: its own machine, the machines beside it, or the metadata service of its cloud. `check_url` looks at the
text of a URL. `addresses` resolves a host's name, and the tunnel (`tunnel`) connects to what was checked here, so a
name that resolves to something else a moment later gains nothing. It holds for each redirect too.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from doctown.errors import ConfigError, SourceError
from doctown.repository.address import GitSource, parse_git_url

DEFAULT_GIT_HOSTS = ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org")
HTTPS_PORT = 443

# IPv6 networks whose last 32 bits are the IPv4 address that they lead to: NAT64 (RFC 6052), IPv4-compatible (RFC 4291).
_WITH_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], list[str]]


def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the order of the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True)
class Network:
    """The servers that repositories may come from.

    `hosts` are names in lower case; one without a port stands for port 443. `private_networks` may be reached though
    they are not public, by a host of `hosts`. `resolve` returns a host's addresses.
    """

    hosts: frozenset[str] = frozenset(DEFAULT_GIT_HOSTS)
    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    resolve: Resolve = field(default=resolve_host, repr=False, compare=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Network:
        """Read GIT_HOSTS and GIT_PRIVATE_NETWORKS, separated by commas; an empty value counts as not set.

        Raises ConfigError.
        """
        hosts = frozenset(host.lower() for host in _listed(environ, "GIT_HOSTS")) or cls.hosts
        for host in hosts:
            _check_host(host)
        try:
            networks = tuple(ipaddress.ip_network(one) for one in _listed(environ, "GIT_PRIVATE_NETWORKS"))
        except ValueError:
            raise ConfigError(
                "GIT_PRIVATE_NETWORKS must be networks such as 10.1.0.0/16, separated by commas"
            ) from None
        return cls(hosts, networks)

    def check_url(self, url: str) -> GitSource:
        """Return the repository of a URL that this network has. Raises SourceError; looks at nothing but the text."""
        # Before it is parsed: a file URL would be looked for on the disk.
        if url[: len("https://")].lower() != "https://":
            raise SourceError(f"The repository's url must begin with https:// and name one of {self._shown_hosts}")
        source = parse_git_url(url)
        assert source is not None  # noqa: S101 - it has a scheme
        self.check_source(source)
        return source

    def check_source(self, source: GitSource) -> None:
        """Raise SourceError unless the repository is behind https at one of the hosts."""
        if source.protocol != "https" or not self.has_host(source.host):
            raise SourceError(f"The repository is on another host than {self._shown_hosts}: set GIT_HOSTS to allow it")

    def has_host(self, host: str) -> bool:
        """Tell whether one of the hosts is this one, which may have a port."""
        return host.removesuffix(f":{HTTPS_PORT}") in self.hosts

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host that may be connected to, in the resolver's order.

        Raises SourceError where the host is not one of the hosts, where its name has no address, or where any of its
        addresses is not public: a name with one address inside and one outside is a trick.
        """
        shown = f"[{host}]" if ":" in host else host
        if not self.has_host(f"{shown}:{port}"):
            raise SourceError(f"The repository leads to another host than {self._shown_hosts}: set GIT_HOSTS")
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise SourceError(f"{shown} cannot be reached: its name has no address")
        if not all(self._may_reach(address) for address in found):
            raise SourceError(f"{shown} has an address that is not public: repositories are not fetched from there")
        return found

    @property
    def may_send_any_token(self) -> bool:
        """Whether GIT_TOKEN, which names no host of its own, can only go to the one it is for."""
        return len(self.hosts) == 1

    @property
    def _shown_hosts(self) -> str:
        return ", ".join(sorted(self.hosts))

    def _may_reach(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return is_public(address) or any(address in network for network in self.private_networks)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public Internet, and so are all that it stands for.

    Loopback, private, link-local, shared, reserved and multicast addresses are not (IANA's special-purpose registries,
    as `ipaddress` has them), nor is an IPv6 address that leads to such an IPv4 address.

    >>> is_public(ipaddress.ip_address("140.82.112.3")), is_public(ipaddress.ip_address("::ffff:169.254.169.254"))
    (True, False)
    """
    if isinstance(address, IPv6Address):
        inner = _inner_address(address)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or address in _LOCAL_NAT64:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner_address(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to: IPv4-mapped, 6to4, NAT64 or IPv4-compatible."""
    if any(address in network for network in _WITH_IPV4):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _listed(environ: Mapping[str, str], name: str) -> list[str]:
    return [one.strip() for one in environ.get(name, "").split(",") if one.strip()]


def _check_host(host: str) -> None:
    try:
        source = parse_git_url(f"https://{host}/owner/repository")
    except SourceError:
        source = None
    if source is None or source.host != host or host.endswith(f":{HTTPS_PORT}"):
        raise ConfigError("GIT_HOSTS must be names of hosts, such as github.com, separated by commas")
