//! When a worker asks for a trial, and what it says of itself.

use gramwise_meter::{ConsumerId, MeterHandle};
use gramwise_model::work::Assignment;
use gramwise_wire::v1;

use crate::Options;
use crate::allocation::{Allocation, described};
use crate::cards::Cards;

/// What of the host is there for trials, and who has it.
#[derive(Debug)]
pub(crate) struct Asking {
    allocation: Allocation,
    /// Trials at once.
    slots: usize,
    /// Where checkpoints are.
    place: String,
    pub(crate) cards: Cards,
    /// What the last assignment needed: without so much free, asking is of no use.
    gpus_per_trial: usize,
    needs: (u32, u64),
    /// The number of the last question.
    pub(crate) request: u64,
    /// Is a question open?
    pub(crate) is_open: bool,
}

impl Asking {
    pub(crate) fn of(options: &Options, meter: &MeterHandle, place: String) -> Self {
        let allocation = Allocation::of(meter.inventory(), |name| std::env::var(name).ok());
        Self {
            slots: allocation.slots(options.slots),
            allocation,
            place,
            cards: Cards::default(),
            gpus_per_trial: 0,
            needs: (0, 0),
            request: 0,
            is_open: false,
        }
    }

    /// The next question, where there is room for a trial beside so many that are held, and no question is open. A trial holds its slot and
    /// its GPUs until its end is acknowledged.
    pub(crate) async fn question(
        &mut self,
        held: usize,
        options: &Options,
        meter: &MeterHandle,
    ) -> Option<v1::LeaseRequest> {
        let allocation = &self.allocation;
        let room = self.slots.min(allocation.room(self.needs)).max(1);
        if self.is_open || held >= room {
            return None;
        }
        let free = self.cards.free(&allocation.gpus);
        let free_gpus = if options.use_busy_gpus {
            Some(free).filter(|free| free.len() >= self.gpus_per_trial)
        } else {
            self.cards.usable(free, self.gpus_per_trial, meter).await
        }?;
        self.is_open = true;
        self.request += 1;
        let card = |gpu: &gramwise_meter::Gpu| v1::Gpu { uuid: gpu.uuid.clone(), model: gpu.name.clone() };
        Some(v1::LeaseRequest {
            worker: options.name.0.clone(),
            request: self.request,
            description: described(meter.inventory()),
            free_gpus,
            gpus: allocation.gpus.iter().map(card).collect(),
            host: options.host.clone(),
            place: self.place.clone(),
            cpus: allocation.cpus,
            memory: allocation.memory,
        })
    }

    /// A trial has what it needs.
    pub(crate) fn holds(&mut self, consumer: ConsumerId, assignment: &Assignment) {
        self.gpus_per_trial = assignment.gpus.len();
        self.needs = (assignment.plan.cpus.unwrap_or(0), assignment.plan.memory.unwrap_or(0));
        self.cards.lease(consumer, assignment.gpus.clone());
    }
}
