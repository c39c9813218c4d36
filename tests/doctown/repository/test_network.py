"""What a service refuses to fetch: each way to lead it to its own machine, its network, or a host that is not listed.

The git server that may be reached is on 127.0.0.1, allowed by GIT_PRIVATE_NETWORKS. What must not be reached is on
127.0.0.2: a socket that would keep whoever connects.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from doctown.errors import ConfigError, SourceError
from doctown.repository import Limits, Network, open_source
from doctown.repository.network import DEFAULT_GIT_HOSTS
from tests.doctown.repository.repositories import ENVIRON, make_repository
from tests.loopback.git_http import PASSWORD, GitServer, running_git_server

LIMITS = Limits(max_bytes=5_000_000, max_files=100, timeout_s=60)
NAME = "git.example.org"
OUTSIDE = (ipaddress.ip_network("127.0.0.1/32"),)


class World(NamedTuple):
    """The git server, its port, and the socket that nobody may reach."""

    server: GitServer
    port: int
    inside: socket.socket

    def network(self, *addresses: str, host: str = NAME) -> Network:
        """The server's host alone, whose name has one of these addresses after the other at each look."""
        answers = iter(addresses)
        last = addresses[-1] if addresses else "127.0.0.1"
        return Network(frozenset([f"{host}:{self.port}"]), OUTSIDE, lambda _host, _port: [next(answers, last)])

    def environ(self, **more: str) -> dict[str, str]:
        return {**ENVIRON, "SSL_CERT_FILE": self.server.ca_bundle, **more}

    def is_inside_untouched(self) -> bool:
        try:
            self.inside.accept()
        except BlockingIOError:
            return True
        return False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("served")
    make_repository(folder / "demo", {"a.py": "def a(): pass\n"})
    with running_git_server(folder, tls=True) as server, socket.socket() as inside:
        port = int(server.url.rpartition(":")[2])
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        inside.bind(("127.0.0.2", port))
        inside.listen()
        inside.setblocking(False)
        yield World(server, port, inside)


def refusal(url: str, network: Network, environ: dict[str, str]) -> str:
    with pytest.raises(SourceError) as caught, open_source(url, limits=LIMITS, environ=environ, network=network):
        pass
    return str(caught.value)


URLS = {
    "plain http": "http://github.com/o/r",
    "loopback": "https://127.0.0.1/o/r",
    "loopback by name": "https://localhost/o/r",
    "loopback of IPv6": "https://[::1]/o/r",
    "mapped loopback": "https://[::ffff:127.0.0.1]/o/r",
    "mapped loopback in hex": "https://[::ffff:7f00:1]/o/r",
    "unspecified": "https://0.0.0.0/o/r",
    "unspecified of IPv6": "https://[::]/o/r",
    "decimal": "https://2130706433/o/r",
    "octal": "https://0177.0.0.1/o/r",
    "hexadecimal": "https://0x7f000001/o/r",
    "short": "https://127.1/o/r",
    "metadata service": "https://169.254.169.254/latest/meta-data",
    "private": "https://10.0.0.5/o/r",
    "link-local of IPv6": "https://[fe80::1]/o/r",
    "zone": "https://[fe80::1%25eth0]/o/r",
    "other port": "https://github.com:22/o/r",
    "user before the host": "https://github.com@127.0.0.1/o/r",
    "user and password": "https://github.com:443@127.0.0.1/o/r",
    "backslash": "https://127.0.0.1\\.github.com/o/r",
    "backslash and user": "https://github.com\\@127.0.0.1/o/r",
    "longer name": "https://github.com.example.org/o/r",
    "longer name before": "https://notgithub.com/o/r",
    "subdomain": "https://internal.github.com/o/r",
    "dot at the end": "https://github.com./o/r",
    "wide letters": "https://\uff47ithub.com/o/r",
    "no host": "https:///o/r",
    "line break": "https://github.com/o/r\nHost: 127.0.0.1",
    "file": "file:///etc",
    "path": "/etc",
    "folder above": "../..",
    "ssh": "ssh://git@github.com/o/r",
    "ssh as scp": "git@github.com:o/r",
    "git": "git://github.com/o/r",
    "ext": "ext::sh -c id",
    "ext with slashes": "ext::https://github.com/o/r",
    "option": "--upload-pack=id",
    "ftp": "ftp://github.com/o/r",
    "archive": "https://github.com/o/r/archive/main.zip",
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS.keys())
def test_a_url_that_is_not_https_to_a_listed_host_is_refused(url: str) -> None:
    """A caller's URL names a listed host over https, whatever else it looks like; nothing is looked for on the disk."""
    with pytest.raises(SourceError):
        Network().check_url(url)


def test_the_urls_of_listed_hosts_are_taken() -> None:
    """Repositories of the default hosts may be fetched, with a ref, in capitals, and with the port of https."""
    for url in (*(f"https://{host}/o/r@v1" for host in DEFAULT_GIT_HOSTS), "HTTPS://GitHub.com:443/o/r"):
        assert Network().check_url(url).protocol == "https"


ADDRESSES = {
    "loopback": "127.0.0.2",
    "loopback of IPv6": "::1",
    "private 10": "10.1.2.3",
    "private 172.16": "172.16.0.1",
    "private 192.168": "192.168.1.1",
    "shared": "100.64.0.1",
    "link-local": "169.254.169.254",
    "unspecified": "0.0.0.0",  # noqa: S104
    "broadcast": "255.255.255.255",
    "multicast": "224.0.0.1",
    "documentation": "192.0.2.1",
    "reserved": "240.0.0.1",
    "unspecified of IPv6": "::",
    "unique local": "fd00:ec2::254",
    "link-local of IPv6": "fe80::1",
    "link-local with a zone": "fe80::1%lo",
    "site-local": "fec0::1",
    "multicast of IPv6": "ff02::1",
    "mapped": "::ffff:10.0.0.1",
    "compatible": "::127.0.0.2",
    "6to4": "2002:7f00:2::",
    "Teredo": "2001:0:7f00:2::",
    "NAT64": "64:ff9b::a9fe:a9fe",
    "local NAT64": "64:ff9b:1::a9fe:a9fe",
    "no address at all": "2130706433",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_a_listed_host_with_an_address_that_is_not_public_is_not_connected_to(address: str, world: World) -> None:
    """A name in GIT_HOSTS gives no way inside, whatever address its DNS says: git meets a refusal, in one sentence."""
    said = refusal(f"https://{NAME}:{world.port}/open/demo", world.network(address), world.environ())
    assert said == f"{NAME} has an address that is not public: repositories are not fetched from there"
    assert world.is_inside_untouched()


def test_one_address_inside_among_public_ones_is_enough_to_refuse() -> None:
    """A name is refused as a whole where one of its addresses is not public."""
    network = Network(resolve=lambda _host, _port: ["140.82.112.3", "10.0.0.1"])
    with pytest.raises(SourceError, match="not public"):
        network.addresses("github.com", 443)
    assert Network(resolve=lambda *_: ["140.82.112.3", "64:ff9b::8c52:7003"]).addresses("github.com", 443)


def test_a_name_that_changes_is_connected_to_as_it_was_checked(world: World) -> None:
    """Each connection resolves the name once and goes to what was checked; a later one is checked again."""
    url = f"https://{NAME}:{world.port}/open/demo"
    network = world.network("127.0.0.1")  # known to this resolver only: another look would find no such name
    with open_source(url, limits=LIMITS, environ=world.environ(), network=network) as checkout:
        assert (checkout.root / "a.py").exists()
    assert "not public" in refusal(url, world.network("127.0.0.1", "127.0.0.2"), world.environ())
    assert world.is_inside_untouched()


REDIRECTS = {
    "another host": "https://127.0.0.2:{port}/open/demo",
    "loopback by name": "https://localhost:{port}/open/demo",
    "loopback of IPv6": "https://[::1]:{port}/open/demo",
    "mapped": "https://[::ffff:127.0.0.2]:{port}/open/demo",
    "decimal": "https://2130706434:{port}/open/demo",
    "metadata service": "https://169.254.169.254/latest/meta-data/",
    "another port": "https://git.example.org:22/open/demo",
    "plain http": "http://git.example.org:{port}/open/demo",
    "plain http inside": "http://127.0.0.2:{port}/",
    "user before the host": "https://git.example.org:{port}@127.0.0.2:{port}/open/demo",
    "file": "file:///etc/passwd",
    "ssh": "ssh://git@127.0.0.2/o/r",
    "ext": "ext::sh -c id",
    "ftp": "ftp://127.0.0.2/o/r",
}


@pytest.mark.parametrize("location", REDIRECTS.values(), ids=REDIRECTS.keys())
def test_a_redirect_leads_nowhere_else(location: str, world: World) -> None:
    """A listed host that redirects elsewhere is not followed there."""
    world.server.sent_to = location.format(port=world.port)
    network = world.network("127.0.0.1")
    assert refusal(f"https://{NAME}:{world.port}/sent/demo", network, world.environ())
    assert world.is_inside_untouched()


def test_proxies_of_the_environment_are_no_way_around(world: World) -> None:
    """A proxy, or hosts without one, that the environment names do not let git connect by itself."""
    inside = f"http://127.0.0.2:{world.port}"
    environ = world.environ(HTTPS_PROXY=inside, https_proxy=inside, NO_PROXY="*", no_proxy="*")
    url = f"https://{NAME}:{world.port}/open/demo"
    with open_source(url, limits=LIMITS, environ=environ, network=world.network("127.0.0.1")):
        pass
    assert world.is_inside_untouched()


def test_a_token_for_any_host_is_sent_where_there_is_one_host(world: World) -> None:
    """GIT_TOKEN goes to the only host that is listed; with several it stays here, since it is for one of them."""
    environ = world.environ(GIT_TOKEN=PASSWORD)
    url, alone = f"https://{NAME}:{world.port}/private/demo", world.network("127.0.0.1")
    with open_source(url, limits=LIMITS, environ=environ, network=alone):
        pass
    several = Network(alone.hosts | {"github.com"}, OUTSIDE, alone.resolve)
    assert "GIT_TOKEN" in refusal(url, several, environ)


def test_the_settings_are_read_and_a_wrong_one_is_named() -> None:
    """GIT_HOSTS and GIT_PRIVATE_NETWORKS are lists; what is no host or no network is refused with its setting."""
    given = Network.from_env({"GIT_HOSTS": " Git.Example.org:8443, github.com", "GIT_PRIVATE_NETWORKS": "10.1.0.0/16"})
    assert given == Network(frozenset({"git.example.org:8443", "github.com"}), (ipaddress.ip_network("10.1.0.0/16"),))
    assert Network.from_env({"GIT_HOSTS": ""}) == Network()
    for hosts in ("https://github.com", "github.com/o", "user@github.com", "*", "github.com:443", "a b"):
        with pytest.raises(ConfigError, match="GIT_HOSTS"):
            Network.from_env({"GIT_HOSTS": hosts})
    with pytest.raises(ConfigError, match="GIT_PRIVATE_NETWORKS"):
        Network.from_env({"GIT_PRIVATE_NETWORKS": "10.1.0.1/16"})
