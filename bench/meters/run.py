"""gramwise's meter and others on one script: a fake `libnvidia-ml.so` whose energy counter is the exact integral of a known power.

    cargo build --release -p gramwise -p fake-nvml
    python3 -m venv venv && venv/bin/pip install -r bench/meters/requirements.txt
    venv/bin/python bench/meters/run.py            # about five minutes; prints a table in Markdown

Power is zero at both ends of each script, so the truth is its whole integral, whenever a meter began and ended.
"""
import json, os, pathlib, subprocess, sys, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
GRAMWISE = TARGET / "gramwise"
ONE, TWO = "GPU-11111111-2222-3333-4444-555555555555", "GPU-66666666-7777-8888-9999-000000000000"
BEGIN, END, OVER = 12.0, 24.0, 26.0  # slow peers take several seconds to start
WAVE = [[0, 0], [BEGIN, 0], [BEGIN + 1, 400], [BEGIN + 4, 250], [END - 4, 250], [END - 1, 400], [END, 0]]
LOW = [[0, 0], [BEGIN + 2, 0], [BEGIN + 3, 120], [END - 2, 120], [END - 1, 0]]


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def integral(trace, until=float("inf")):
    joules = 0.0
    for (t0, w0), (t1, w1) in zip(trace, trace[1:]):
        t = min(t1, until)
        if t > t0:
            w = w0 + (w1 - w0) * (t - t0) / (t1 - t0)
            joules += (w0 + w) / 2 * (t - t0)
    return joules


class Scene:
    """A folder with a script, a fake library, and a `nvidia-smi` where it is wanted; its clock starts when it is made."""

    def __init__(self, gpus, smi=True):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        (self.folder / "script.json").write_text(json.dumps({"gpus": gpus}))
        (self.folder / "libnvidia-ml.so.1").symlink_to(TARGET / "libfake_nvml.so")
        if smi:
            (self.folder / "nvidia-smi").write_text("#!/bin/sh\necho fake\n")
            (self.folder / "nvidia-smi").chmod(0o755)
        self.epoch = boot_ns()
        self.env = os.environ | {
            "LD_LIBRARY_PATH": str(self.folder), "PATH": f"{self.folder}:{os.environ['PATH']}",
            "FAKE_NVML_SCRIPT": str(self.folder / "script.json"), "FAKE_NVML_EPOCH_NS": str(self.epoch),
            "GRAMWISE_NVML_LIB": str(self.folder / "libnvidia-ml.so.1"), "GRAMWISE_DB": str(self.folder / "g.db"),
            "GRAMWISE_POWERCAP": str(self.folder / "powercap"),
        }

    def now(self):
        return (boot_ns() - self.epoch) / 1e9

    def until(self, second):
        time.sleep(max(0.0, second - self.now()))

    def peer(self, name, **env):
        done = subprocess.run([sys.executable, str(ROOT / "bench/meters/peer.py"), name, str(OVER)],
                              env=self.env | env, capture_output=True, text=True)
        try:
            told = json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            return f"failed: {done.stderr.strip().splitlines()[-1][:60] if done.stderr.strip() else done.returncode}"
        return told["joules"] if told["began"] < BEGIN else f"began at {told['began']:.0f} s, too late"

    def meter(self, *options, command=None):
        """`gramwise meter` over the whole script: what it told."""
        command = command or ["sleep", str(OVER - self.now())]
        subprocess.run([GRAMWISE, "meter", "--pue", "1", *options, "-o", "json", "--to", self.folder / "told", "--", *command],
                       env=self.env, capture_output=True)
        return json.loads((self.folder / "told").read_text())


def gpu(uuid=ONE, trace=WAVE, **more):
    return {"uuid": uuid, "trace": trace, **more}


def told_joules(told):
    return told["energy_j"]


def two_gpus():
    scene = Scene([gpu(), gpu(TWO, LOW)])
    return integral(WAVE) + integral(LOW), {"gramwise": lambda: told_joules(scene.meter()), "codecarbon": lambda: scene.peer("codecarbon"),
                                           "zeus": lambda: scene.peer("zeus")}


def pinned_by_index():
    scene = Scene([gpu(), gpu(TWO, LOW)])
    return integral(LOW), {"gramwise": lambda: told_joules(scene.meter("--gpu", TWO)),
                           "codecarbon": lambda: scene.peer("codecarbon", CUDA_VISIBLE_DEVICES="1")}


def pinned_by_uuid():
    scene = Scene([gpu(), gpu(TWO, LOW)])
    return integral(LOW), {"gramwise": lambda: told_joules(scene.meter("--gpu", TWO)),
                           "codecarbon": lambda: scene.peer("codecarbon", CUDA_VISIBLE_DEVICES=TWO)}


def counter_reset():
    scene = Scene([gpu(reset_at_s=BEGIN + 6.5)])
    return integral(WAVE), {"gramwise": lambda: told_joules(scene.meter()), "codecarbon": lambda: scene.peer("codecarbon"),
                            "zeus": lambda: scene.peer("zeus")}


def no_counter():
    scene = Scene([gpu(counter=False)])
    return integral(WAVE), {"gramwise": lambda: told_joules(scene.meter()), "codecarbon": lambda: scene.peer("codecarbon"),
                            "carbontracker": lambda: scene.peer("carbontracker")}


def two_trials_on_one_gpu():
    scene = Scene([gpu()])

    def sweep():
        train = scene.folder / "train.sh"
        train.write_text('sleep "$1"; echo \'gramwise: {"step": 1, "loss": 0.5}\'\n')
        half = (OVER - scene.now()) / 2
        (scene.folder / "sweep.yaml").write_text(
            f"command: [sh, {train}, \"{half:.2f}\"]\nobjectives: [{{name: loss, goal: minimize}}]\nmethod: grid\n"
            "parameters: {lr: {values: [1, 2]}}\nresources: {gpus: 1}\n")
        subprocess.run([GRAMWISE, "run", scene.folder / "sweep.yaml", "--slots", "2"], env=scene.env, capture_output=True)
        report = subprocess.run([GRAMWISE, "report", "-o", "json"], env=scene.env, capture_output=True, text=True)
        return json.loads(report.stdout)["energy_by_provenance"]["measured_uj"] / 1e6

    def both():
        told = []
        one = lambda: told.append(scene.peer("codecarbon", MODE="process"))
        threads = [threading.Thread(target=one) for _ in range(2)]
        [thread.start() for thread in threads], [thread.join() for thread in threads]
        return sum(told) if all(isinstance(one, float) for one in told) else told[0]

    return integral(WAVE), {"gramwise": sweep, "codecarbon": both}


def killed():
    scene = Scene([gpu()])
    ends = BEGIN + 8

    def ours():
        # At that second of the script, whenever the command began: a meter takes a moment to start.
        die = "import os, sys, time; time.sleep(float(sys.argv[1]) - time.clock_gettime(time.CLOCK_BOOTTIME)); os.kill(os.getpid(), 9)"
        return told_joules(scene.meter(command=[sys.executable, "-c", die, str(scene.epoch / 1e9 + ends)]))

    def theirs():
        out = scene.folder / "out"
        out.mkdir()
        child = subprocess.Popen([sys.executable, str(ROOT / "bench/meters/peer.py"), "codecarbon", "1000"],
                                 env=scene.env | {"OUT": str(out)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        scene.until(ends)
        child.kill()
        child.wait()
        rows = (out / "emissions.csv").read_text().splitlines() if (out / "emissions.csv").exists() else []
        return float(dict(zip(rows[0].split(","), rows[-1].split(",")))["gpu_energy"]) * 3.6e6 if len(rows) > 1 else 0.0

    return integral(WAVE, ends), {"gramwise": ours, "codecarbon": theirs}


def lost():
    scene = Scene([gpu(lost_at_s=BEGIN + 6.5)])

    def ours():
        told = scene.meter()
        per_joule = told["co2e_g"] / told["energy_j"]
        known = told["energy_by_provenance"]["measured_uj"] / 1e6
        return told["energy_j"], f"{known:.0f} J measured, the rest estimated; interval {told['co2e_low_g'] / per_joule:.0f} to {told['co2e_high_g'] / per_joule:.0f} J, quality {told['quality']}"

    return integral(WAVE), {"gramwise": ours, "codecarbon": lambda: scene.peer("codecarbon")}


def rapl(reset=None, hidden=None):
    """A package that draws 60 W in the middle of the script, whose counter restarts, or whose file is away for a moment."""
    scene = Scene([])
    zone = scene.folder / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    power = [[0, 0], [BEGIN, 0], [BEGIN + 0.5, 60], [END - 0.5, 60], [END, 0]]

    def write():
        joules = integral(power, scene.now())
        raw = 62_000e6 + joules * 1e6
        if reset and scene.now() >= reset:
            raw = (joules - integral(power, reset)) * 1e6
        (zone / "next").write_text(f"{raw:.0f}\n")
        if not (hidden and hidden[0] <= scene.now() < hidden[1]):
            (zone / "next").rename(zone / "energy_uj")
        else:
            (zone / "energy_uj").unlink(missing_ok=True)

    def keep_writing():
        while scene.now() < OVER + 2:
            write()
            time.sleep(0.01)

    write()
    threading.Thread(target=keep_writing, daemon=True).start()

    def ours():
        told = scene.meter("--no-gpu")
        # A sleeping command uses none of it: it is other users' of the host. The counter's energy is in there whole.
        memory = told["host"]["idle_j"]
        return told["energy_j"] + told["host"]["other_j"] + told["host"]["overhead_j"], f"memory's model apart ({memory:.0f} J)"

    return integral(power), {"gramwise": ours, "codecarbon": lambda: scene.peer("codecarbon-rapl")}


def no_nvidia_smi():
    scene = Scene([gpu()], smi=False)
    return integral(WAVE), {"gramwise": lambda: told_joules(scene.meter()), "codecarbon": lambda: scene.peer("codecarbon")}


SCENES = {
    "two GPUs": two_gpus,
    "second of two GPUs, by index": pinned_by_index,
    "second of two GPUs, by UUID": pinned_by_uuid,
    "counter reset in the middle": counter_reset,
    "no energy counter": no_counter,
    "two trials on one GPU": two_trials_on_one_gpu,
    "the training is killed (kill -9)": killed,
    "GPU lost in the middle": lost,
    "RAPL counter restarts": lambda: rapl(reset=BEGIN + 6.5),
    "RAPL unreadable for a second": lambda: rapl(hidden=(BEGIN + 5.5, BEGIN + 6.5)),
    "no `nvidia-smi`": no_nvidia_smi,
}


def main():
    wanted = sys.argv[1:]
    print("| scenario | truth J | meter | reported J | error |\n|---|---|---|---|---|")
    for name, scene in SCENES.items():
        if wanted and not any(word in name for word in wanted):
            continue
        truth, meters = scene()
        answers = {}
        threads = [threading.Thread(target=lambda meter=meter, run=run: answers.__setitem__(meter, run())) for meter, run in meters.items()]
        [thread.start() for thread in threads], [thread.join() for thread in threads]
        for meter in meters:
            answer = answers.get(meter, "failed")
            answer, note = answer if isinstance(answer, tuple) else (answer, "")
            if isinstance(answer, str):
                print(f"| {name} | {truth:.1f} | {meter} | - | {answer} |", flush=True)
                continue
            error = f"{(answer / truth - 1) * 100:+.2f} %"
            print(f"| {name} | {truth:.1f} | {meter} | {answer:.1f} | {error}{'; ' + note if note else ''} |", flush=True)


main()
