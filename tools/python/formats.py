"""What the description's own formats look like, for schemathesis: JSON Schema cannot say them (tools/conformance.sh)."""

import json

import schemathesis
from hypothesis import strategies as st

# domain/id.rs: bytes are counted, not characters.
uids = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=64)
schemathesis.openapi.format("uid", uids.filter(lambda uid: len(uid.encode()) <= 64))

values = st.none() | st.booleans() | st.integers() | st.text()
schemathesis.openapi.format("json", st.dictionaries(st.text(), values | st.lists(values)).map(json.dumps))
