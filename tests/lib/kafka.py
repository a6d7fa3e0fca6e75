"""kafka.py - a Kafka cluster for a test: librdkafka's mock brokers, in a process of their own (kafka_mock.c).

    cluster = Cluster(program, brokers=1)   # program: build(directory), made once
    cluster.topic("orders", partitions=2)
    cluster.produce("orders", 0, first=0, count=10)   # returns when the brokers have acknowledged: b"0:0" ... b"0:9"
    cluster.down(); cluster.up()            # all brokers, with what they hold
    cluster.committed("pawl.orders", "orders", 0)
"""
import functools
import os
import shutil
import subprocess

import pawl

SOURCE = os.path.join(pawl.ROOT, "tests", "lib", "kafka_mock.c")


def built_in():
    """Whether the pawl under test has Kafka topics: the help of their kind is in it."""
    with open(pawl.binary(), "rb") as f:
        return b"topics of Kafka" in f.read()


@functools.cache
def available():
    """Whether Kafka topics can be tested here: pawl has them, and there are a compiler and librdkafka with its headers for the mock cluster."""
    return built_in() and shutil.which("cc") is not None and subprocess.run(
        ["cc", "-fsyntax-only", "-x", "c", "-"], input=b"#include <librdkafka/rdkafka.h>\n#include <librdkafka/rdkafka_mock.h>\n", capture_output=True,
        check=False).returncode == 0


def build(directory):
    program = os.path.join(str(directory), "kafka_mock")
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-o", program, SOURCE, "-lrdkafka", "-lpthread"], check=True)
    return program


class Cluster:
    def __init__(self, program, brokers=1):
        self.process = subprocess.Popen([program, str(brokers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.bootstraps = self.process.stdout.readline().strip()
        assert self.bootstraps

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer[:1] == ["ok"], (words, answer)
        return int(answer[1])

    def topic(self, name, partitions=1):
        assert self.ask("topic", name, partitions) == 0

    def error(self, name, code):
        self.ask("error", name, code)

    def produce(self, topic, partition=0, first=0, count=1):
        self.ask("produce", topic, partition, first, count)
        return [f"{partition}:{i}".encode() for i in range(first, first + count)]

    def message(self, topic, text, partition=0, key="-", content_type="-"):
        self.ask("message", topic, partition, key, content_type, text)

    def large(self, topic, size, partition=0):
        self.ask("large", topic, partition, size)

    def flood(self, topic, partitions, per_second):
        """Produces in the background until flooded(), which returns what was acknowledged."""
        self.ask("flood", topic, partitions, per_second)
        self.flooded_partitions = partitions

    def flooded(self):
        rounds = self.ask("flooded")
        return {f"{p}:{i}".encode() for p in range(self.flooded_partitions) for i in range(rounds)}

    def end(self, topic, partition=0):
        """The offset that the next message will get."""
        return self.ask("end", topic, partition)

    def committed(self, group, topic, partition=0):
        return self.ask("committed", group, topic, partition)

    def down(self):
        self.ask("down")

    def up(self):
        self.ask("up")

    def stop(self):
        if self.process.stdin.closed:
            return
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
