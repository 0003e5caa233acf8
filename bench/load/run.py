#!/usr/bin/env python3
"""Ask, ten reports, tell: Optuna's gRPC storage proxy over memory, and gramwise's coordinator, in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install optuna==5.0.0 grpcio protobuf
    /tmp/peers/bin/python bench/load/run.py [TRIALS]

Both search at random over the same eight hyperparameters, one client each, over loopback; CPU time is of both ends. Optuna keeps
nothing: its proxy is over memory. gramwise has every report on disk before it answers. A gramwise worker sends what a trial reports
within ten milliseconds in one message; Optuna's client sends each report by itself, so both ways of gramwise are shown. They take
turns, three times; the middle one of each counts.
"""

import os
import re
import statistics
import subprocess
import sys
import time

TRIALS = int(sys.argv[1]) if len(sys.argv) > 1 else 300
HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 13917

SERVER = """
from optuna.storages import InMemoryStorage, run_grpc_proxy_server
run_grpc_proxy_server(InMemoryStorage(), host="127.0.0.1", port=%d)
""" % PORT

CLIENT = """
import resource, sys, time
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=%d)
storage.wait_server_ready(timeout=60)
study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
def trial():
    one = study.ask()
    one.suggest_float("lr", 1e-4, 1e-1, log=True)
    one.suggest_categorical("batch", [16, 32, 64, 128])
    one.suggest_float("momentum", 0.0, 0.99)
    one.suggest_float("decay", 0.0, 0.1)
    one.suggest_int("width", 1, 512)
    one.suggest_int("depth", 1, 12)
    one.suggest_float("dropout", 0.0, 0.5)
    one.suggest_categorical("opt", ["sgd", "adam"])
    for step in range(1, 11):
        one.report(1.0 / step, step)
    study.tell(one, 0.1)
for _ in range(5):
    trial()
print("ready", flush=True)
sys.stdin.readline()
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
before = cpu()
for _ in range(%d):
    trial()
print(cpu() - before, flush=True)
""" % (PORT, TRIALS)


def cpu_of(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def optuna_ms():
    server = subprocess.Popen([sys.executable, "-c", SERVER], stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert client.stdout.readline().strip() == "ready"
        before = cpu_of(server.pid)
        client.stdin.write("\n")
        client.stdin.flush()
        own = float(client.stdout.readline())
        of_server = cpu_of(server.pid) - before
        client.wait()
        return 1e3 * (own + of_server) / TRIALS
    finally:
        server.kill()
        server.wait()


def gramwise_ms():
    command = ["cargo", "bench", "--quiet", "-p", "gramwise", "--bench", "serve", "--", "trials"]
    environment = dict(os.environ, GRAMWISE_TRIALS=str(TRIALS))
    done = subprocess.run(command, cwd=os.path.join(HERE, "../.."), env=environment, capture_output=True, text=True)
    found = re.findall(r"([0-9.]+) ms of CPU a trial", done.stdout)
    assert len(found) == 2, done.stdout + done.stderr
    return [float(ms) for ms in found]


def main():
    gramwise_ms()  # Builds it.
    turns = [(optuna_ms(), *gramwise_ms()) for _ in range(3)]
    peer, gathered, alone = (statistics.median(column) for column in zip(*turns))
    print(f"CPU a trial, both ends, {TRIALS} trials:")
    print(f"Optuna, gRPC proxy over memory, each report by itself: {peer:.2f} ms")
    print(f"gramwise, durable, reports gathered as by its worker:  {gathered:.2f} ms, 1/{peer / gathered:.1f}")
    print(f"gramwise, durable, each report by itself:              {alone:.2f} ms, 1/{peer / alone:.1f}")


if __name__ == "__main__":
    main()
