"""Tasks of each kind. What they return shows where they ran."""

import hashlib
import os
import socket
import threading
import time

from celery import chord, group, shared_task
from celery.utils.log import get_task_logger

logger = get_task_logger(__name__)


def _report(task, result):
    """Return a result with the node and the process that made it."""
    return {"node": task.request.hostname, "pid": os.getpid(), "result": result}


@shared_task
def noop():
    """Do nothing, which measures the way there and back."""


@shared_task
def sleep(seconds):
    """Occupy a slot of the pool for a while."""
    time.sleep(seconds)


@shared_task(bind=True, ignore_result=False)
def count_primes(self, limit):
    """Count the primes below a limit. CPU work."""
    sieve = bytearray([1]) * max(limit, 2)
    sieve[0:2] = b"\0\0"
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, len(sieve), number)))
    return _report(self, sum(sieve[:limit]))


@shared_task(bind=True, ignore_result=False)
def digest(self, text, rounds=100_000):
    """Stretch a text into a digest. CPU work."""
    return _report(self, hashlib.pbkdf2_hmac("sha256", text.encode(), b"proj", rounds).hex())


def _serve(server, latency):
    """Answer one connection with the number of bytes that came in, after a pause."""
    connection, _address = server.accept()
    with connection:
        received = 0
        while block := connection.recv(65536):
            received += len(block)
        time.sleep(latency)
        connection.sendall(str(received).encode())


@shared_task(bind=True, ignore_result=False)
def export(self, rows, latency=0.2):
    """Send rows over a connection to a slow receiver and wait for its answer. I/O work."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = threading.Thread(target=_serve, args=(server, latency), daemon=True)
        receiver.start()
        with socket.create_connection(server.getsockname(), timeout=30) as connection:
            for number in range(rows):
                connection.sendall(f"{number};{number * number}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            received = int(connection.recv(64))
        receiver.join()
    return _report(self, received)


@shared_task(bind=True, ignore_result=False)
def long(self, seconds, step=1.0):
    """Work for a while and log each step, so that one can watch what a restart or a rotation does to it."""
    steps = max(1, round(seconds / step))
    for number in range(1, steps + 1):
        time.sleep(step)
        logger.info("step %d of %d in process %d", number, steps, os.getpid())
    return _report(self, steps)


@shared_task(bind=True, ignore_result=False)
def total(self, reports):
    """Add up the results of a group."""
    return _report(self, sum(report["result"] for report in reports))


@shared_task(bind=True)
def tick(self):
    """Show that the schedule is alive."""
    logger.info("tick on %s", self.request.hostname)


@shared_task
def nightly_report():
    """Start a workflow from the schedule."""
    primes_of([100_000, 200_000, 300_000]).delay()


def primes_of(limits):
    """Return a chord that counts the primes below each limit in parallel and adds them up."""
    return chord(group(count_primes.s(limit) for limit in limits), total.s())
