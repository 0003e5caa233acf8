"""One peer meters the script of the fake NVML for some seconds and prints the joules that it would report."""
import json, logging, os, sys, time

logging.disable(logging.CRITICAL)
peer, until = sys.argv[1], float(sys.argv[2])  # seconds on the script's clock
epoch = int(os.environ["FAKE_NVML_EPOCH_NS"]) / 1e9


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME) - epoch


def rest():
    time.sleep(max(0.0, until - now()))


out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what peers print is no answer
if peer == "codecarbon":
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", measure_power_secs=1, save_to_file="OUT" in os.environ,
        output_dir=os.environ.get("OUT", "."), allow_multiple_runs=True, log_level="critical",
        tracking_mode=os.environ.get("MODE", "machine"),
    )
    tracker.start()
    began = now()
    rest()
    tracker.stop()
    joules = tracker.final_emissions_data.gpu_energy * 3.6e6
elif peer == "codecarbon-rapl":
    from codecarbon.core.rapl import RAPLFile
    from codecarbon.core.units import Time

    zone = os.environ["GRAMWISE_POWERCAP"] + "/intel-rapl:0/"
    file = RAPLFile("package", zone + "energy_uj", zone + "max_energy_range_uj")
    file.start()
    began, joules = now(), 0.0
    while now() < until:
        time.sleep(1)
        file.delta(Time.from_seconds(1))
        joules += file.energy_delta.kWh * 3.6e6
elif peer == "zeus":
    from zeus.monitor import ZeusMonitor

    monitor = ZeusMonitor(cpu_indices=[])
    monitor.begin_window("all", sync_execution=False)
    began = now()
    rest()
    joules = sum(monitor.end_window("all", sync_execution=False).gpu_energy.values())
elif peer == "carbontracker":
    from carbontracker.tracker import CarbonTracker

    tracker = CarbonTracker(epochs=1, epochs_before_pred=0, monitor_epochs=-1, components="gpu", update_interval=1, verbose=0)
    tracker.epoch_start()
    began = now()
    rest()
    thread = tracker.tracker  # the end of the last epoch drops it
    thread.epoch_end()
    joules = sum(thread.total_energy_per_epoch()) * 3.6e6
print(json.dumps({"joules": float(joules), "began": began}), file=out)
out.flush()
os._exit(0)  # some keep threads that wait
