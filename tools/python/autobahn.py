"""Runs Autobahn's cases against a WebSocket echo server; prints each failed case and the number of cases per verdict."""

import asyncio
import os
import sys
from collections import Counter

from kosoku import FailureError, run_fuzzingclient

# 12 and 13 test compression (RFC 7692). Roomcast does not negotiate it: a frame is encoded once for all receivers.
EXCLUDED = ["12.*", "13.*"]

try:
    results = asyncio.run(run_fuzzingclient(f"ws://{sys.argv[1]}/", exclude_cases=EXCLUDED))
except FailureError as failure:
    results = failure.results

# OK, NON-STRICT and INFORMATIONAL pass, for the messages and for the closing handshake.
failed = [result for result in results if not result.passed]
for result in failed:
    print(f"{result.case_id}: {result.behavior.value}, closed {result.behavior_close.value}: {result.description}")
    print(f"    {result.result} {result.result_close}")
counts = Counter(result.behavior.value for result in results)
print(f"{len(results)} cases:", ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
# Ends without the interpreter's clean-up: kosoku's threads may abort it, after every verdict is known.
sys.stdout.flush()
os._exit(1 if failed or not results else 0)
