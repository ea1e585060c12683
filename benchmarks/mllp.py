"""How fast a running `pv-stream ingest-mllp` acknowledges, and how long each answer takes.

    python -m benchmarks.mllp [--port P] [--messages N] [--connections C] [--pipelined K]

Each connection has at most K messages without an answer: 1 is how most interface engines send. Every message is a new
one of two results. It speaks to the listener as a sender does, so broker, listener and senders share the machine.
"""

import argparse
import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

from pv_stream.ingest.listeners.mllp_frames import END, framed

LINES = (
    "MSH|^~\\&|Lab|North|EHR|North|20210412080000+0200||ORU^R01^ORU_R01|{name}|P|2.5.1",
    "PID|1||{patient:05d}^^^NORTH^MR",
    "OBR|1||{name}^LAB|58410-2^CBC^LN|||20210412071500+0200",
    "OBX|1|NM|711-2^Eosinophils^LN||1.{value}|10*9/L|||||F",
    "OBX|2|NM|1742-6^ALT^LN||{value}|U/L|||||F",
)


@dataclass(slots=True)
class Heard:
    """What the senders heard, and after how many seconds."""

    codes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def message(name: str, number: int) -> bytes:
    text = "\r".join((*LINES, ""))
    return text.format(name=name, patient=number % 500, value=10 + number % 90).encode()


async def send(port: int, count: int, pipelined: int, heard: Heard) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    free, sent_at = asyncio.Semaphore(pipelined), asyncio.Queue[float]()
    run = secrets.token_hex(6)

    async def listen() -> None:
        for _ in range(count):
            answer = await reader.readuntil(END + b"\r")
            heard.seconds.append(perf_counter() - sent_at.get_nowait())
            heard.codes[answer.split(b"\rMSA|")[1][:2].decode()] += 1
            free.release()

    listening = asyncio.create_task(listen())
    for number in range(count):
        await free.acquire()
        sent_at.put_nowait(perf_counter())
        writer.write(framed(message(f"{run}-{number}", number)))
        await writer.drain()
    await listening
    writer.close()


async def measure(port: int, messages: int, connections: int, pipelined: int) -> None:
    heard, began = Heard(), perf_counter()
    each = messages // connections
    await asyncio.gather(*(send(port, each, pipelined, heard) for _ in range(connections)))
    seconds = perf_counter() - began
    waits_ms = sorted(each * 1e3 for each in heard.seconds)
    median, slow = waits_ms[len(waits_ms) // 2], waits_ms[len(waits_ms) * 99 // 100]
    told = ", ".join(f"{count:,} {code}" for code, count in sorted(heard.codes.items()))
    print(
        f"{connections} connections, at most {pipelined} messages unanswered on each: {told}; "
        f"{len(waits_ms) / seconds:,.0f} messages/s; answers after {median:.0f} ms (median), {slow:.0f} ms (p99)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=2575)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--pipelined", type=int, default=1)
    wanted = parser.parse_args()
    asyncio.run(measure(wanted.port, wanted.messages, wanted.connections, wanted.pipelined))


if __name__ == "__main__":
    main()
