#!/usr/bin/python3
"""webhook.py - webhooks per second against Redis, nginx and adnanh/webhook, and sync webhooks against bare spawning

One invocation runs all of them, one after the other in every round, each with new data directories on the same disk: a round's
numbers are comparable, and what is reported is the median over the rounds of the ratios within a round. The order turns around from
round to round, so that nobody always goes first.

pawl: a webhook with a 64-hex token and a 150-byte JSON body, cooldown 0, answered 201 after its event, run and trigger state are
committed with synchronous=FULL. The runs wait in a pull queue. Redis: RPUSH of the same 150 bytes, appendfsync always. nginx: a
static 201. adnanh/webhook: a hook with the same token that runs /bin/true. wrk and redis-benchmark drive with one thread each.
"""
import argparse
import subprocess
import sys

from peers import Nginx, Pawl, Redis, Table, Webhook, Workplace, binary_of, machine, median, paired, wrk

CONNECTIONS = (1, 64, 256)
SYNC_CONNECTIONS = 16


def measure_pawl(work, seconds):
    server = Pawl(work)
    token, url = server.queue_trigger(), server.url + "/api/v1/webhooks"
    wrk(url, token, 64, 1)
    before = server.runs_created()
    out = {c: wrk(url, token, c, seconds) for c in CONNECTIONS}
    made, answered = server.runs_created() - before, sum(r["requests"] for r in out.values())
    # wrk does not count what it leaves unanswered when it stops: at most one request per connection.
    if not answered <= made <= answered + sum(CONNECTIONS):
        sys.exit(f"pawl answered {answered} webhooks and stored {made} runs")
    work.end(server)
    return out


def measure_redis(work, seconds):
    server = Redis(work, "redis")
    out = {c: server.rpush_for(c, seconds) for c in CONNECTIONS}
    work.end(server)
    return out


def measure_nginx(work, seconds):
    server = Nginx(work, "nginx")
    wrk(server.url, "0" * 64, 64, 1)
    out = {c: wrk(server.url, "0" * 64, c, seconds) for c in CONNECTIONS}
    work.end(server)
    return out


def measure_webhook(work, seconds):
    server = Webhook(work, "webhook")
    out = {SYNC_CONNECTIONS: wrk(server.url + "/hooks/sync", server.token, SYNC_CONNECTIONS, seconds),
           64: wrk(server.url + "/hooks/async", server.token, 64, seconds)}
    work.end(server)
    return out


def measure_sync(work, seconds):
    server = Pawl(work, "pawl-sync")
    out = wrk(server.url + "/api/v1/webhooks?mode=sync", server.true_trigger(), SYNC_CONNECTIONS, seconds)
    work.end(server)
    return out


def measure_spawn(work, seconds):
    loop = binary_of("spawn_loop")
    return {n: float(subprocess.check_output([loop, str(n), str(seconds)])) for n in (1, SYNC_CONNECTIONS)}


PARTS = {"pawl": measure_pawl, "redis": measure_redis, "nginx": measure_nginx, "sync": measure_sync, "spawn": measure_spawn,
         "webhook": measure_webhook}


def measure(rounds, seconds):
    work, results = Workplace("webhook"), []
    for i in range(rounds):
        order = list(PARTS) if i % 2 == 0 else list(reversed(PARTS))
        results.append({})
        for name in order:
            print(f"round {i + 1} of {rounds}: {name}", file=sys.stderr)
            results[-1][name] = PARTS[name](work, seconds)
    work.close()
    return results


def rates(t, rounds):
    def rate(name, c):
        return median([r[name][c]["rate"] for r in rounds])

    for c in CONNECTIONS:
        t.row(f"pawl, {c} connections", f"{rate('pawl', c):,.0f}/s")
        t.row(f"redis, {c} connections", f"{rate('redis', c):,.0f}/s")
        t.row(f"nginx, {c} connections", f"{rate('nginx', c):,.0f}/s")
    t.row("adnanh/webhook, 64 connections", f"{rate('webhook', 64):,.0f}/s")
    for c in (64, 256):
        t.at_least(f"pawl / redis, {c}", paired(rounds, lambda r: r["pawl"][c]["rate"], lambda r: r["redis"][c]["rate"]), 1.0)
        t.at_least(f"pawl / nginx, {c}", paired(rounds, lambda r: r["pawl"][c]["rate"], lambda r: r["nginx"][c]["rate"]), 0.45)
    t.at_least("pawl / adnanh/webhook, 64", paired(rounds, lambda r: r["pawl"][64]["rate"], lambda r: r["webhook"][64]["rate"]), 5.0)


def latencies(t, rounds):
    def ms(name, c, p):
        return median([r[name][c][p] for r in rounds])

    for c, p in ((1, "p50"), (64, "p50"), (64, "p99"), (256, "p99")):
        t.row(f"{p}, {c} connections: pawl, redis, nginx",
              ", ".join(f"{ms(name, c, p):.3f}" for name in ("pawl", "redis", "nginx")) + " ms")
    t.at_most("p50 with 1 connection, pawl - redis, ms", median([r["pawl"][1]["p50"] - r["redis"][1]["p50"] for r in rounds]), 0.15, "{:.3f}")
    t.at_most("p99 with 64 connections, pawl / redis", paired(rounds, lambda r: r["pawl"][64]["p99"], lambda r: r["redis"][64]["p99"]), 2.0)


def spawning(t, rounds):
    n = SYNC_CONNECTIONS
    t.row(f"sync /bin/true, pawl, {n} connections", f"{median([r['sync']['rate'] for r in rounds]):,.0f}/s")
    t.row(f"sync /bin/true, adnanh/webhook, {n} connections", f"{median([r['webhook'][n]['rate'] for r in rounds]):,.0f}/s")
    for k in (1, n):
        t.row(f"posix_spawn loop, {k} at a time", f"{median([r['spawn'][k] for r in rounds]):,.0f}/s")
    t.at_least(f"pawl sync / posix_spawn loop, {n} at a time", paired(rounds, lambda r: r["sync"]["rate"], lambda r: r["spawn"][n]), 0.85)
    t.row("pawl sync / posix_spawn loop, 1 at a time", f"{paired(rounds, lambda r: r['sync']['rate'], lambda r: r['spawn'][1]):.2f}")
    t.at_least("pawl sync / adnanh/webhook sync", paired(rounds, lambda r: r["sync"]["rate"], lambda r: r["webhook"][n]["rate"]), 1.0)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5, help="per measurement")
    a = p.parse_args()
    rounds = measure(a.rounds, a.seconds)
    t = Table()
    rates(t, rounds)
    latencies(t, rounds)
    spawning(t, rounds)
    print(f"{a.rounds} rounds of {a.seconds} s; {machine()}")
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
