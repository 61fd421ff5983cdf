"""Rules of the API that JSON Schema cannot express, for schemathesis (tools/conformance.sh)."""

import schemathesis


@schemathesis.hook
def filter_body(context, body):
    """Drops bodies that a schema would expect the API to accept: a uid of more than 64 bytes, a blank text."""
    fields = body if isinstance(body, dict) else {}
    uids = [fields.get(name) for name in ("uid", "uids", "exclude_uid")]
    uids.append(fields.get("user"))
    each = [uid for one in uids for uid in (one if isinstance(one, list) else [one]) if isinstance(uid, str)]
    if any(len(uid) <= 64 < len(uid.encode()) for uid in each):
        return False
    # A room that exists answers by its state, and a text is refused if it shows nothing; lengths are counted in graphemes.
    texts = [fields.get(name) for name in ("message", "reason", "text")]
    shows = [text for text in texts if isinstance(text, str)]
    return fields.get("room") not in (1, "1") and all(any(c.isalnum() for c in text) and len(text) <= 140 for text in shows)
