//! What of its host a worker may use: all of it, or what a scheduler gave it, as its environment says.

use gramwise_meter::{Gpu, Inventory, is_amd};

/// A worker's part of its host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Allocation {
    /// CPU cores.
    pub(crate) cpus: u32,
    /// Bytes of memory; 0 where that is not known.
    pub(crate) memory: u64,
    /// Graphics cards.
    pub(crate) gpus: Vec<Gpu>,
}

impl Allocation {
    /// By a look at the environment. `CUDA_VISIBLE_DEVICES` names NVIDIA's cards by number or identity, as CUDA reads it
    /// (docs.nvidia.com/cuda/cuda-c-programming-guide, "CUDA Environment Variables"); Slurm sets it too, and `SLURM_*` for the rest
    /// (slurm.schedmd.com/srun.html, "OUTPUT ENVIRONMENT VARIABLES").
    pub(crate) fn of(inventory: &Inventory, variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name)?.split('(').next()?.trim().parse::<u64>().ok();
        let cpus = number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE"));
        let cpus = cpus.and_then(|cpus| u32::try_from(cpus).ok()).filter(|cpus| *cpus > 0);
        let megabytes = number("SLURM_MEM_PER_NODE").filter(|megabytes| *megabytes > 0);
        Self {
            cpus: cpus.map_or(inventory.cpus, |cpus| cpus.min(inventory.cpus)),
            memory: megabytes
                .map_or(inventory.memory_bytes, |given| (given << 20).min(inventory.memory_bytes)),
            gpus: visible(&inventory.gpus, variable("CUDA_VISIBLE_DEVICES").as_deref()),
        }
    }

    /// Trials at once: as many as are `wanted`, else as there are GPUs for them; without any, as CPU cores.
    pub(crate) fn slots(&self, wanted: Option<u32>) -> usize {
        let by_default =
            if self.gpus.is_empty() { usize::try_from(self.cpus).unwrap_or(1) } else { self.gpus.len() };
        wanted.map_or(by_default, |slots| usize::try_from(slots).unwrap_or(1)).max(1)
    }

    /// How many trials fit beside each other that need so many cores and so much memory each.
    pub(crate) fn room(&self, (cpus, memory): (u32, u64)) -> usize {
        let fits = |there_is: u64, each: u64| {
            there_is.checked_div(each).map_or(usize::MAX, |fits| usize::try_from(fits).unwrap_or(usize::MAX))
        };
        fits(self.cpus.into(), cpus.into()).min(fits(self.memory, memory))
    }
}

/// The host in one line, for people.
pub(crate) fn described(inventory: &Inventory) -> String {
    let gpus = match inventory.gpus.as_slice() {
        [] => "no GPU".to_owned(),
        [gpu] => gpu.name.clone(),
        [gpu, ..] => format!("{} x {}", inventory.gpus.len(), gpu.name),
    };
    format!("{}: {} x {}, {gpus}", inventory.hostname, inventory.cpus, inventory.cpu_model)
}

/// The cards that a list lets be seen: those before the first entry that is none. Other makers' cards are not in it.
fn visible(gpus: &[Gpu], list: Option<&str>) -> Vec<Gpu> {
    let Some(list) = list else { return gpus.to_vec() };
    let (others, cards): (Vec<&Gpu>, Vec<&Gpu>) = gpus.iter().partition(|gpu| is_amd(&gpu.uuid));
    let named = |entry: &str| match entry.trim().parse::<usize>() {
        Ok(index) => cards.get(index).copied(),
        Err(_) if entry.trim().len() < 4 => None,
        // The beginning of an identity is enough.
        Err(_) => cards.iter().find(|gpu| gpu.uuid.starts_with(entry.trim())).copied(),
    };
    others.into_iter().chain(list.split(',').map_while(named)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        let gpu = |uuid: &str| Gpu {
            uuid: uuid.to_owned(),
            name: String::new(),
            memory_bytes: 0,
            power_limit: None,
        };
        Inventory {
            hostname: "here".to_owned(),
            cpu_model: String::new(),
            cpus: 64,
            memory_bytes: 256 << 30,
            gpus: ["GPU-aa1", "GPU-bb2", "GPU-cc3"].map(gpu).to_vec(),
        }
    }

    fn with(variables: &[(&str, &str)]) -> (u32, u64, String) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let Allocation { cpus, memory, gpus } = Allocation::of(&inventory(), variable);
        (cpus, memory >> 30, gpus.iter().map(|gpu| &gpu.uuid[4..]).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_schedulers_word_bounds_what_is_used() {
        assert_eq!(with(&[]), (64, 256, "aa1 bb2 cc3".to_owned()));
        let slurm =
            [("SLURM_CPUS_ON_NODE", "8"), ("SLURM_MEM_PER_NODE", "16384"), ("CUDA_VISIBLE_DEVICES", "2,0")];
        assert_eq!(with(&slurm), (8, 16, "cc3 aa1".to_owned()));
        assert_eq!(with(&[("SLURM_CPUS_PER_TASK", "4"), ("SLURM_CPUS_ON_NODE", "8")]).0, 4);
        for (list, seen) in [
            ("", ""),
            ("NoDevFiles", ""),
            ("-1", ""),
            ("GPU-bb2", "bb2"),
            ("GPU-cc, 0", "cc3 aa1"),
            ("1,9,0", "bb2"),
        ] {
            assert_eq!(with(&[("CUDA_VISIBLE_DEVICES", list)]).2, seen, "{list}");
        }
        assert_eq!(with(&[("SLURM_CPUS_ON_NODE", "many"), ("SLURM_MEM_PER_NODE", "0")]).0, 64);
    }
}
