"""What libraries load anew for each client, loaded once in a process of tests: most of what a short test would cost.

botocore reads and takes apart its descriptions of S3 for each client, a tenth of a second, and the HTTP client of the
OpenAI SDK the certificates of the system. Left out: a file of certificates that changes.
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
    shared = functools.cache(lambda trust_env, *_named: load(_trust_env=trust_env))

    def default_ssl_context(*, _trust_env: bool = True) -> ssl.SSLContext:
        return shared(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    httpcore2.default_ssl_context = default_ssl_context
