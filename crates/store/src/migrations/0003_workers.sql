-- The sweep that a worker served is found by its name, also when the sweep is long over.
CREATE INDEX host_by_worker ON host (worker);
