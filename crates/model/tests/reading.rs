//! Good sweep files become the sweep that they describe, and several faults are reported together.

use std::time::Duration;

use gramwise_carbon::{GramsCo2e, Joules};
use gramwise_model::{
    Distribution, GainPerKg, Goal, Problems, Pruner, Resource, RetryAction, Sampler, SweepSpec, Value,
};

const DIGITS: &str = include_str!("good/digits.yaml");
const WANDB: &str = include_str!("good/wandb.yaml");

/// A file in which only the parameters matter.
fn with_parameters(parameters: &str) -> Result<(SweepSpec, Problems), Problems> {
    let head =
        "command: [train, \"${args}\"]\nobjectives: [{name: loss, goal: minimize}]\nbudget: {trials: 10}\n";
    SweepSpec::from_yaml(&format!("{head}parameters:\n{parameters}"))
}

/// The distribution of the parameter `x`, written as a flow mapping.
fn distribution(parameter: &str) -> Distribution {
    let (spec, _) = with_parameters(&format!("  x: {parameter}\n")).unwrap_or_else(|error| panic!("{error}"));
    spec.space.parameters()[0].distribution.clone()
}

fn find<'s>(spec: &'s SweepSpec, name: &str) -> &'s Distribution {
    let parameter = spec.space.parameters().iter().find(|parameter| parameter.name == name);
    &parameter.unwrap_or_else(|| panic!("no parameter {name}")).distribution
}

#[test]
fn the_documented_example_is_read_as_documented() {
    let (spec, warnings) = SweepSpec::from_yaml(DIGITS).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(spec.name, "digits");
    assert_eq!(spec.setup.as_deref(), Some("cargo build --release -p digits"));
    assert_eq!(spec.command, ["target/release/digits", "${args}"]);
    assert_eq!(spec.method, Sampler::Gp);
    assert_eq!(spec.primary().meaningful, Some(0.002));
    assert!(spec.objectives[1].is_co2e());
    assert_eq!((spec.constraints[0].min, spec.constraints[0].max), (None, Some(20.0)));
    assert_eq!(*find(&spec, "lr"), Distribution::LogUniform { min: 1e-4, max: 1e-1 });
    assert_eq!(*find(&spec, "momentum"), Distribution::Uniform { min: 0.0, max: 0.99 });
    assert_eq!(spec.space.parameters()[3].when[0].any_of, [Value::Text("sgd".to_owned())]);
    assert_eq!(spec.space.forbidden()[0].values["batch"], Value::Int(16));
    assert_eq!((spec.resource.max, spec.resource.checkpoint), (30, true));
    assert_eq!(spec.budget.co2e, Some(GramsCo2e::new(200.0)));
    assert_eq!(spec.budget.energy, Some(Joules::from_kwh(2.0)));
    assert_eq!((spec.budget.trials, spec.budget.gpu_hours), (Some(100), Some(8.0)));
    assert_eq!(spec.budget.wall, Some(Duration::from_secs(7200)));
    assert_eq!((spec.prune.gain_per_kg, spec.prune.audit), (Some(GainPerKg::Auto), 0.05));
    assert_eq!(spec.retry.rules[1].action, RetryAction::ExcludeHost);
    assert_eq!(spec.resources.memory, Some(8 << 30));
    assert_eq!(spec.carbon.zone.as_deref(), Some("FR"));
    assert_eq!(spec.carbon.defer.as_ref().map(|defer| defer.until_minute), Some(18 * 60));
    assert_eq!(spec.seed, 7);
    let lines: Vec<usize> = warnings.0.iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [19], "defer: {warnings}");
}

#[test]
fn a_weights_and_biases_file_is_read_unchanged() {
    let (spec, warnings) = SweepSpec::from_yaml(WANDB).unwrap_or_else(|error| panic!("{error}"));
    let command = ["/usr/bin/env", "python", "train.py", "--device=${envvar:DEVICE}", "${args_no_hyphens}"];
    assert_eq!(spec.command, command);
    assert_eq!(spec.primary().goal, Goal::Maximize);
    assert_eq!(spec.budget.trials, Some(40));
    assert_eq!(spec.method, Sampler::Gp, "what they call bayes");
    assert!(spec.resource.is_open() && spec.prune.rule == Pruner::None, "nothing says how far a trial is");
    assert_eq!(*find(&spec, "epochs"), Distribution::Constant(Value::Int(30)));
    assert_eq!(*find(&spec, "layers"), Distribution::IntUniform { min: 1, max: 8 });
    assert_eq!(*find(&spec, "noise"), Distribution::Uniform { min: 0.0, max: 0.5 });
    let inner = Box::new(Distribution::LogUniform { min: 32.0, max: 256.0 });
    assert_eq!(*find(&spec, "batch_size"), Distribution::Quantized { step: 8.0, inner });
    let inner = Box::new(Distribution::Normal { mu: 0.9, sigma: 0.05 });
    assert_eq!(*find(&spec, "momentum"), Distribution::Quantized { step: 0.01, inner });
    assert_eq!(*find(&spec, "decay"), Distribution::LogUniform { min: (-9f64).exp(), max: (-2f64).exp() });
    assert_eq!(*find(&spec, "warmup"), Distribution::LogUniform { min: (-1f64).exp(), max: 1.0 });
    assert_eq!(*find(&spec, "optimizer.schedule.lr"), Distribution::LogNormal { mu: -7.0, sigma: 1.0 });
    let said = warnings.to_string();
    assert_eq!(warnings.0.len(), 3, "{said}");
    assert!(said.contains("without `resource` no trial ends early"), "{said}");
    assert!(said.contains("values lie between 1.234e-4 and 0.1353 (hint: if these"), "{said}");
    assert!(said.contains("`inv_log_uniform_values`"), "{said}");
}

#[test]
fn a_rule_of_pruning_is_chosen_by_name() {
    let with = |rule: &str| {
        let text = format!(
            "command: [train]\nmetric: {{name: loss}}\nrun_cap: 3\nresource: {{name: epoch, max: 30}}\n\
             parameters: {{x: {{values: [1, 2]}}}}\n{rule}\n"
        );
        let (spec, warnings) = SweepSpec::from_yaml(&text).unwrap_or_else(|error| panic!("{error}"));
        (spec.prune.rule, spec.prune.gain_per_kg, spec.first_step(), warnings.0.len())
    };
    assert_eq!(with(""), (Pruner::GainPerKg, Some(GainPerKg::Auto), 1, 1));
    assert_eq!(with("prune: {gain_per_kg: off}"), (Pruner::None, None, 1, 1));
    assert_eq!(with("prune: {rule: asha, grace: 3}"), (Pruner::Asha, None, 3, 1));
    assert_eq!(with("prune: {rule: median, gain_per_kg: 5}"), (Pruner::Median, None, 1, 2));
    assert_eq!(
        with("early_terminate: {type: hyperband, min_iter: 4, s: 2}"),
        (Pruner::Hyperband, None, 4, 1)
    );
    assert_eq!(with("prune: {gain_per_kg: 7}"), (Pruner::GainPerKg, Some(GainPerKg::Fixed(7.0)), 1, 1));
}

#[test]
fn the_command_line_overrules_methods() {
    let (spec, _) = SweepSpec::from_yaml(DIGITS).unwrap_or_else(|error| panic!("{error}"));
    let other = spec.clone().with(Some(Sampler::Tpe), Some(Pruner::Asha)).unwrap();
    assert_eq!((other.method, other.prune.rule, other.prune.gain_per_kg), (Sampler::Tpe, Pruner::Asha, None));
    let back = other.with(None, Some(Pruner::GainPerKg)).unwrap();
    assert_eq!(back.prune.gain_per_kg, Some(GainPerKg::Auto));
    let refused = spec.with(Some(Sampler::Grid), None).unwrap_err();
    assert!(refused.contains("`lr`") && refused.contains("hint: "), "{refused}");
    let (open, _) = SweepSpec::from_yaml(WANDB).unwrap_or_else(|error| panic!("{error}"));
    assert!(open.clone().with(None, Some(Pruner::None)).is_ok());
    assert!(open.with(None, Some(Pruner::Median)).unwrap_err().contains("`resource`"));
}

#[test]
fn a_program_alone_gets_the_usual_command() {
    let text = "program: train.py\nmetric: {name: loss}\nrun_cap: 3\nparameters: {x: {values: [1, 2]}}\n";
    let (spec, warnings) = SweepSpec::from_yaml(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(spec.command, ["/usr/bin/env", "python", "train.py", "${args}"]);
    assert_eq!((spec.name.as_str(), spec.primary().goal), ("sweep", Goal::Minimize));
    assert_eq!(
        (spec.resource.name.as_str(), spec.resource.max, spec.prune.grace),
        ("step", Resource::OPEN, 1)
    );
    assert_eq!(warnings, Problems::default());
}

#[test]
fn a_grid_needs_no_budget_and_a_line_is_a_command() {
    let text = "command: python 'my train.py' ${args}\nmethod: grid\nobjectives: [{name: loss, goal: minimize}]\n\
        parameters: {x: {values: [1, 2]}, n: {min: 1, max: 3}, q: {min: 0, max: 1, q: 0.5}}\n";
    let (spec, _) = SweepSpec::from_yaml(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(spec.command, ["python", "my train.py", "${args}"]);
    assert_eq!(spec.method, Sampler::Grid);
}

#[test]
fn numbers_keep_their_kind() {
    let choices =
        vec![Value::Int(1), Value::Float(0.5), Value::Float(1e-4), Value::Text("1".to_owned()), Value::Null];
    let expected = Distribution::Categorical { choices, probabilities: None };
    assert_eq!(distribution("{values: [1, 0.5, 1e-4, \"1\", ~]}"), expected);
    assert_eq!(distribution("{min: 1, max: 4.0}"), Distribution::Uniform { min: 1.0, max: 4.0 });
    assert_eq!(
        distribution("{distribution: int_uniform, min: 1, max: 1e3}"),
        Distribution::IntUniform { min: 1, max: 1000 }
    );
    assert_eq!(distribution("{mu: 1, sigma: 2}"), Distribution::Normal { mu: 1.0, sigma: 2.0 });
}

#[test]
fn all_faults_come_together_in_text_order() {
    let text = "command: [train]\nobjectives: [{name: loss, goal: minimise}]\nparameters:\n  a: {min: 2, max: 1}\n  \
        b: {values: [1, 1]}\n  c: {value: 1, when: {a: 7}}\nbudget: {trials: -1}\nseeed: 1\nprune: {audit: 2}\n";
    let problems = SweepSpec::from_yaml(text).unwrap_err();
    let lines: Vec<usize> = problems.0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 4, 5, 7, 8, 9], "{problems}");
}

#[test]
fn a_slip_in_a_key_is_not_also_a_missing_key() {
    let text = "comand: [train]\nobjective: [{name: loss, goal: minimize}]\nparamaters: {x: {value: 1}}\nbudgt: {trials: 1}\n";
    let problems = SweepSpec::from_yaml(text).unwrap_err();
    assert_eq!(problems.0.len(), 4, "{problems}");
    assert!(problems.0.iter().all(|problem| problem.hint.as_deref().unwrap().starts_with("did you mean")));
}

#[test]
fn a_condition_on_a_group_holds_for_its_parameters() {
    let parameters = "  opt: {values: [sgd, adam]}\n  sgd:\n    when: {opt: sgd}\n    parameters:\n      \
        momentum: {min: 0.0, max: 0.9}\n      nesterov: {values: [true, false], when: {opt: [sgd, adam]}}\n";
    let (spec, _) = with_parameters(parameters).unwrap_or_else(|error| panic!("{error}"));
    let counts: Vec<usize> = spec.space.parameters().iter().map(|parameter| parameter.when.len()).collect();
    assert_eq!(counts, [0, 1, 2]);
}

#[test]
fn doubtful_files_are_accepted_with_a_warning() {
    let warned = |parameters: &str| {
        with_parameters(parameters).unwrap_or_else(|error| panic!("{error}")).1.to_string()
    };
    assert!(warned("  x: {values: [yes, no]}\n").contains("older readers of YAML take it for true"));
    assert!(
        warned("  x: {min: 0.0, max: 1.0}\n  y: {value: 1, when: {x: 0.5}}\n").contains("never exactly 0.5")
    );
    let exponents = warned("  x: {distribution: log_uniform, min: 1e-4, max: 0.1}\n");
    assert!(exponents.contains("values lie between 1 and 1.105 (hint:"), "{exponents}");
    let text = DIGITS.replace("[\"target/release/digits\", \"${args}\"]", "cd /tmp && train");
    let warnings = SweepSpec::from_yaml(&text).unwrap().1.to_string();
    assert!(warnings.contains("not run by a shell: `&&`") && warnings.contains("passes the parameters on"));
}

#[test]
fn aliases_and_merge_keys_work_in_a_sweep() {
    let parameters = "  a: &rate {min: 0.1, max: 0.9}\n  b: *rate\n  c: {<<: *rate, max: 0.5}\n";
    let (spec, _) = with_parameters(parameters).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(find(&spec, "a"), find(&spec, "b"));
    assert_eq!(*find(&spec, "c"), Distribution::Uniform { min: 0.1, max: 0.5 });
}
