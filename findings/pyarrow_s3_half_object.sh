#!/usr/bin/env bash
# pyarrow 26.0.1 publishes half an object on S3 when the block that writes it fails, in place of the whole one that was there.
#
# Guess: an object of S3 is there when its upload is completed, so an exception within `with fs.open_output_stream(...)`, or a
# stream that is dropped without `close()`, gives the upload up, and what was there before stays.
# Seen: leaving the block closes the stream whatever ended it, closing completes the upload, and the destructor closes too.
# There is no call that gives an upload up. Only a process that is killed leaves nothing.
# Consequence: pocketvae removes an object whose writing failed (core/blocks/storage.py), and names the results of blocks by
# their SHA-256, so that half a result is known and computed again.
#
# Output seen (pyarrow 26.0.1 against the S3 server of moto 5.2.5, CPython 3.11, Linux, x86-64):
#   failed in its block: b'half'
#   dropped: b'half'
set -euo pipefail
folder=$(mktemp -d)
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1 'moto[server]==5.2.5' 2>"$folder/pip"
"$folder/venv/bin/moto_server" -H 127.0.0.1 -p 5117 >"$folder/log" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
"$folder/venv/bin/python" - <<'PYTHON'
import gc
import socket
import sys
import time

from pyarrow import fs

while socket.socket().connect_ex(("127.0.0.1", 5117)):
    time.sleep(0.1)
store = fs.S3FileSystem(
    endpoint_override="127.0.0.1:5117",
    scheme="http",
    region="us-east-1",
    access_key="key",
    secret_key="secret",
    allow_bucket_creation=True,
)
store.create_dir("bucket")
for name in ("block", "dropped"):
    with store.open_output_stream(f"bucket/{name}") as file:
        file.write(b"whole")


def drop():
    store.open_output_stream("bucket/dropped").write(b"half")


try:
    with store.open_output_stream("bucket/block") as file:
        file.write(b"half")
        raise InterruptedError
except InterruptedError:
    pass
drop()
gc.collect()
found = [store.open_input_file(f"bucket/{name}").read() for name in ("block", "dropped")]
print(f"failed in its block: {found[0]}\ndropped: {found[1]}")
sys.exit(found != [b"half", b"half"])
PYTHON
