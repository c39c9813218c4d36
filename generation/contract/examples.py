"""Examples of the contract's documents, shown in the schemas and in the HTTP service's description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ID = "src/text.py:slugify"
EXAMPLES: Mapping[str, dict[str, Any]] = {
    "GenerationInput": {
        "job_id": "my-repository",
        "symbols": [
            {
                "symbol_id": _ID,
                "context": {
                    "symbol_id": _ID,
                    "name": "slugify",
                    "kind": "function",
                    "language": "python",
                    "file_path": "src/text.py",
                    "signature": "def slugify(title: str) -> str",
                    "called_by": ["publish"],
                    "centrality": 0.4,
                    "source_code": "def slugify(title: str) -> str:\n    return '-'.join(title.lower().split())",
                },
            }
        ],
        "options": {"max_concurrent_requests": 20},
    },
    "JobOutput": {
        "job_id": "my-repository",
        "status": "success",
        "model": "gpt-5-nano",
        "documented_symbols": [
            {
                "symbol_id": _ID,
                "summary": "Turns a title into a form fit for URLs.",
                "tokens_used": 402,
                "source": "model",
                "content_hash": "5f2b51d7a0c94e0f8a3b6c1d2e4f7089",
            }
        ],
        "failed_symbols": [],
        "removed": [],
        "documented_count": 1,
        "failed_count": 0,
        "total_tokens": 402,
        "total_cost": 0.000071,
        "usage": {
            "input_tokens": 378,
            "cached_input_tokens": 0,
            "output_tokens": 24,
            "reasoning_tokens": 0,
            "requests": 1,
            "retries": 0,
            "timeouts": 0,
        },
        "pricing": {"input_per_1m": 0.15, "cached_input_per_1m": 0.015, "output_per_1m": 0.6},
        "paid_before": {"symbols": 0, "total_tokens": 0, "total_cost": 0.0},
        "checks": {"checked": 1, "passed_all": 1, "rejected": 0, "findings": {}},
        "duration_ms": 1204,
        "warnings": [],
        "results": {
            "bucket": "docs",
            "key": "results/my-repository.json",
            "url": None,
            "bytes": 612,
            "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        },
    },
    "JobFailure": {"error": "symbols is empty: there is nothing to document", "failure": "bad_input"},
}
