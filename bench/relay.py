"""The rival of the platform: a bare relay by aiokafka over the hops of a submission, with nothing done in between.

Five records a submission, four consumers that commit after each record and pass it on, acks=all, idempotent: what the
same journey costs when nothing is stored, checked or judged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

HOPS = 5


async def relay(bootstrap: str, count: int) -> dict[str, float]:
    """Pass `count` records over the hops; submissions a second and CPU seconds each of this process."""
    run = f"relay-{os.getpid()}"
    names = [f"{run}-{hop}" for hop in range(HOPS)]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=12, replication_factor=1) for name in names])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    consumers = [
        AIOKafkaConsumer(
            name, bootstrap_servers=bootstrap, group_id=name, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        for name in names
    ]
    for consumer in consumers:
        await consumer.start()

    async def forward(hop: int) -> None:
        for _ in range(count):
            record = await consumers[hop].getone()
            if hop + 1 < HOPS:
                await producer.send_and_wait(names[hop + 1], record.value, key=record.key)
            await consumers[hop].commit()

    began, cpu = time.perf_counter(), time.process_time()
    forwards = [asyncio.create_task(forward(hop)) for hop in range(HOPS)]
    body = b"x" * 700
    for number in range(count):
        await producer.send(names[0], body, key=str(number).encode())
    await asyncio.gather(*forwards)
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    for consumer in consumers:
        await consumer.stop()
    await producer.stop()
    return {"per_second": count / seconds, "cpu_each": spent / count}


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics just made have no leader for a moment
    print(json.dumps(asyncio.run(relay(sys.argv[1], int(sys.argv[2])))))
