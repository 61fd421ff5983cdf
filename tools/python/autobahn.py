"""Autobahn's cases against the WebSocket echo at an address: tells every case that is not OK, and counts the verdicts."""

import asyncio
import sys
from collections import Counter

from kosoku import FailureError, run_fuzzingclient

# 12 and 13 are compression (RFC 7692), which we do not negotiate: a frame is encoded once for everybody.
LEFT_OUT = ["12.*", "13.*"]

try:
    results = asyncio.run(run_fuzzingclient(f"ws://{sys.argv[1]}/", exclude_cases=LEFT_OUT))
except FailureError as failure:
    results = failure.results

# Passed are OK, NON-STRICT and INFORMATIONAL, of what was said as of how it was closed.
failed = [result for result in results if not result.passed]
for result in failed:
    print(f"{result.case_id}: {result.behavior.value}, closed {result.behavior_close.value}: {result.description}")
    print(f"    {result.result} {result.result_close}")
counts = Counter(result.behavior.value for result in results)
print(f"{len(results)} cases:", ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
sys.exit(1 if failed or not results else 0)
