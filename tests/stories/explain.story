# Why was a trial pruned?

--- file train.sh
# Pretends to train. Most learning rates fall to the end; 0.9 begins well and stays where it is.
epoch=1
while [ "$epoch" -le "$GRAMWISE_STEPS" ]; do
    work=0
    while [ "$work" -lt 60000 ]; do work=$((work + 1)); done
    case $GRAMWISE_PARAM_LR in
        0.9) error=30 ;;
        *) error=$((10 + 30 * ${GRAMWISE_PARAM_LR#0.} / 10 + 80 / epoch)) ;;
    esac
    echo "gramwise: {\"step\": $epoch, \"val_error\": 0.$error}"
    epoch=$((epoch + 1))
done
---
--- file sweep.yaml
name: why
command: [sh, train.sh, "${args}"]
method: grid
objectives: [{name: val_error, goal: minimize}]
parameters: {lr: {values: [0.3, 0.2, 0.1, 0.8, 0.9]}}
resource: {name: epoch, min: 4, max: 8}
budget: {trials: 5}
prune: {gain_per_kg: 1000000000}        # improvement of val_error that must be promised for a kg of CO2e
carbon: {zone: FR}
---

$ gramwise run sweep.yaml --no-gpu --slots 1 --quiet -o value
…

$ gramwise trials
trial  state      val_error  co2e  step  lr   attempts  quality
    1  completed  …          …     8     0.3  1         …
    2  completed  …          …     8     0.2  1         …
    3  completed  0.23       …     8     0.1  1         …
    4  pruned     …          …     …     0.8  1         …
    5  pruned     0.3        …     …     0.9  1         …

# Trial 4 lost against the others at the epoch where trials are compared.
$ gramwise explain 4
trial 4 was pruned at epoch …
  place 4 of 4 that reached epoch 4; the first 1 go on
  its values there: val_error …, co2e …
  the last place that goes on is that of trial 3
  predicted grams left …, which this saves

epoch  verdict   why …
…

# Trial 5 was ahead there. What it still promised was not worth the grams it still needed.
$ gramwise explain 5
trial 5 was pruned at epoch …
  val_error 0.3 at epoch …; predicted <number> ± <number> at epoch 8 (learnt from 3 other curves)
  expected gain <number> ± <number> val_error over trial 3 (val_error 0.23)
  predicted grams left …
  gain per kg … < threshold 1e9 (set in the sweep file)
  below the threshold in 2 checks in a row

epoch  verdict   why …
…
    …  continue  below the …
…
    …  prune     gain …

$ gramwise explain 5 -o value
prune

$ gramwise explain 9
! error: no trial 9 in this sweep
! hint: `gramwise trials` lists them
[exit 2]
