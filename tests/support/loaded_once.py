"""What libraries load anew for each client, loaded once in a process of tests: most of what a short test would cost.

botocore reads and takes apart its descriptions of S3 for each client, a tenth of a second, and the HTTP client of the
OpenAI SDK the certificates of the system. Left out: certificates that SSL_CERT_FILE or SSL_CERT_DIR name.
"""

from __future__ import annotations

import functools
import os
import ssl

import botocore.session
import httpcore2


def load_once() -> None:
    """Let all clients of this process, and of its forks, share what they only read."""
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    load = httpcore2.default_ssl_context
    shared = functools.cache(load)

    def default_ssl_context(*, _trust_env: bool = True) -> ssl.SSLContext:
        names_others = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        return load(_trust_env=_trust_env) if names_others else shared()

    httpcore2.default_ssl_context = default_ssl_context
