# A sweep from the file to the report, and the questions one asks afterwards.

--- file train.sh
# Pretends to train: the error falls with each epoch, to a floor that the learning rate decides.
floor=${GRAMWISE_PARAM_LR#0.}
epoch=1
while [ "$epoch" -le "$GRAMWISE_STEPS" ]; do
    echo "gramwise: {\"step\": $epoch, \"val_error\": 0.$((floor + 60 / epoch))}"
    epoch=$((epoch + 1))
done
---
--- file sweep.yaml
name: tiny
command: [sh, train.sh, "${args}"]
method: grid
objectives: [{name: val_error, goal: minimize}]
parameters: {lr: {values: [0.3, 0.1, 0.2]}}
resource: {name: epoch, min: 3, max: 3}
budget: {trials: 3}
carbon: {zone: FR}
---

$ gramwise check sweep.yaml
sweep.yaml: sweep `tiny`, 1 hyperparameters searched by grid, trials ended early by gain-per-kg, objectives val_error, epoch up to 3

$ gramwise preview sweep.yaml
preview of tiny
trials   3 trials at most
CO2e     unknown before it runs
time     unknown before it runs
at most  no budget of CO2e, energy or time is set
from     no earlier sweep in the database has this command and these hyperparameters
         hint: a first one with `budget: {trials: 5}` shows what a trial takes

# Data goes to stdout, talk to stderr.
$ gramwise run sweep.yaml --no-gpu --slots 1
sweep 1 tiny: ended after <number> s
submitted  … UTC by …
ended      all 3 trials were run
trials     3 trials: 3 completed
attempts   3 attempts: 3 finished; 9 steps run

best       trial 2: val_error 0.21, co2e … at epoch 3
           lr 0.1
ties       unknown: nothing was repeated, and a model cannot be made of so few trials or such values

energy     … of IT equipment
CO2e       … of operation (between … and … at about 95 %)
           making the hardware: …
burnt by   …
quality    …
grid       FR <number> g/kWh, mean of <number> (…
…
PUE        1 (not stated: no facility is counted)
pruning    no trial was given up, nothing was avoided

account    co2e  share  energy  quality
trial      …
lost       0 g   0.0 %     0 J  -
idle       …
overhead   …
total      …
! sweep 1 (tiny) begins; database …gramwise.db; Ctrl-C stops it, the same command resumes it

# The next one of its kind is known beforehand.
$ gramwise preview sweep.yaml
preview of tiny
trials   3 trials at most
CO2e     … (… to … at about 90 %)
energy   … (… to … at about 90 %)
time     … s (… to … at about 90 %)
at most  no budget of CO2e, energy or time is set
from     1 earlier sweep of this search (1)

$ gramwise ls
sweep  name  state  co2e  trials  completed  energy  quality  submitted  by
    1  tiny  ended  <number> …  3  3  …

$ gramwise status
sweep 1 tiny: ended … <number> s
trials     3 trials: 3 completed
spent      … from …, quality …
budget     3 of 3 trials (100.0 %)
best       trial 2: val_error 0.21, co2e … at epoch 3
           lr 0.1
ended      all 3 trials were run

$ gramwise trials
trial  state      val_error  co2e  step  lr   attempts  quality
    1  completed  0.23       …     3     0.3  1         …
    2  completed  0.21       …     3     0.1  1         …
    3  completed  0.22       …     3     0.2  1         …

$ gramwise best
trial 2 is the best of sweep 1
by        minimize val_error
metrics   val_error 0.21, co2e … at epoch 3
config    lr 0.1
co2e      … from …

$ gramwise best -o value
2

$ gramwise front
trial  state      val_error  co2e  step  lr   attempts  quality
    2  completed  0.21       …     3     0.1  1         …

$ gramwise report tiny
sweep 1 tiny: ended after <number> s
…
total      …

$ gramwise history
       co2e  share    sweeps  trials  energy  quality
total  …     100.0 %  1       3       …

$ gramwise logs 3
gramwise: {"step": 1, "val_error": 0.62}
gramwise: {"step": 2, "val_error": 0.32}
gramwise: {"step": 3, "val_error": 0.22}

# The sweep has ended, so the same file begins another one.
$ gramwise run sweep.yaml --no-gpu --quiet -o value
…

$ gramwise ls -o value
1
2
