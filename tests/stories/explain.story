# Why was a trial pruned?

--- file train.sh
# Pretends to train. Learning rates below 0.5 fall to the end; the others stay where they are.
epoch=1
while [ "$epoch" -le "$GRAMWISE_STEPS" ]; do
    work=0
    while [ "$work" -lt 60000 ]; do work=$((work + 1)); done
    case $GRAMWISE_PARAM_LR in
        0.[1234]) error=$((10 + 3 * ${GRAMWISE_PARAM_LR#0.} + 80 / epoch)) ;;
        *) error=${GRAMWISE_PARAM_LR#0.} ;;
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
parameters: {lr: {values: [0.3, 0.2, 0.1, 0.88, 0.89, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99]}}
resource: {name: epoch, min: 4, max: 8}
budget: {trials: 14}
carbon: {zone: FR}
---

$ gramwise run sweep.yaml --no-gpu --slots 1 --quiet -o value
…

$ gramwise trials
trial  state      val_error  co2e  step  lr    attempts  quality
    1  completed  …          …     8     0.3   1         …
    2  completed  …          …     8     0.2   1         …
    3  completed  0.23       …     8     0.1   1         …
    4  pruned     0.88       …     …     0.88  1         …
…
   14  pruned     0.99       …     …     0.99  1         …

# Trial 4 was compared when there was no model yet of how curves go on: by its place among the others.
$ gramwise explain 4
trial 4 was pruned at epoch …
  place 4 of 4 that reached epoch 4; the first 1 go on
  its values there: val_error …, co2e …
  the last place that goes on is that of trial 3
  predicted grams left …, which this saves

epoch  verdict   why …
…

# What trial 14 still promised was not worth the grams it still needed.
$ gramwise explain 14
trial 14 was pruned at epoch …
  val_error 0.99 at epoch <number>; predicted <number> ± <number> at epoch 8 (learnt from 14 curves)
  expected gain <number> ± <number> val_error over trial 3 (val_error 0.23); <number> % to end better
  predicted grams left … to epoch 8)
  gain per kg … < threshold … (auto: 7.1 % of the first trials' spread, <number>, for a whole training …
…
epoch  verdict   why …
    …  prune     gain …

$ gramwise explain 14 -o value
prune

$ gramwise explain 99
! error: no trial 99 in this sweep
! hint: `gramwise trials` lists them
[exit 2]
