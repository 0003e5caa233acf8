# A wrong file is refused with the place and what to do, and nothing is left behind.

--- file sweep.yaml
name: digits
command: [sh, train.sh, "${args}"]
objectives: [{name: val_error, goal: minimise}]
parameters: {lr: {min: 0.1, max: 0.9}}
budget: {trials: 10}
---

$ gramwise check sweep.yaml
! error: `objectives.goal` must be one of minimize, maximize, found the text `minimise`
!  --> sweep.yaml:3:38
!   |
! 3 | objectives: [{name: val_error, goal: minimise}]
!   |                                      ^^^^^^^^
!   |
!   = help: did you mean `minimize`?
!
! sweep.yaml: 1 problem; nothing was started
[exit 2]

$ gramwise run sweep.yaml --quiet
! error: `objectives.goal` must be one of minimize, maximize, found the text `minimise`
!  --> sweep.yaml:3:38
! …
!   = help: did you mean `minimize`?
! …
[exit 2]

$ ls
sweep.yaml

# All mistakes are told at once.
--- file two.yaml
name: digits
comand: [sh, train.sh, "${args}"]
objectives: [{name: val_error, goal: minimize}]
parameters: {lr: {min: 0.9, max: 0.1}}
budget: {trials: 10}
---

$ gramwise run two.yaml
! error: …
!  --> two.yaml:2:1
! …
!   = help: did you mean `command`?
! …
!  --> two.yaml:4:…
! …
! two.yaml: <number> problems; nothing was started
[exit 2]

$ gramwise run nowhere.yaml
! error: cannot read nowhere.yaml: No such file or directory (os error 2)
! hint: name a sweep file, …
[exit 2]

$ gramwise trials
! error: no database at …gramwise.db
! hint: `gramwise run FILE` creates it; --db or $GRAMWISE_DB names another
[exit 2]
