//! Metrics of the process, under the names that Prometheus's own libraries use. A scrape reads them.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};
use rustix::process::{Resource, getrlimit};

#[derive(Debug)]
pub struct Process {
    /// Seconds since 1970.
    started: f64,
}

impl Process {
    /// The process starts now.
    pub fn started() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: since.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            // A value that the system does not report is left out.
            let Some(value) = value else { return Ok(()) };
            let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        gauge(
            "process_start_time",
            "When the process started, since 1970",
            Some(&Unit::Seconds),
            Some(self.started),
        )?;
        gauge(
            "process_resident_memory",
            "Memory that the process holds",
            Some(&Unit::Bytes),
            resident_memory(),
        )?;
        gauge("process_open_fds", "Open descriptors", None, open_descriptors())?;
        gauge("process_max_fds", "Descriptors that may be open", None, most_descriptors())
    }
}

fn resident_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn open_descriptors() -> Option<f64> {
    // Without the descriptor of the listing itself.
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    Some(count as f64)
}

fn most_descriptors() -> Option<f64> {
    getrlimit(Resource::Nofile).current.map(|limit| limit as f64)
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn a_scrape_reads_the_metrics_of_the_process() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::started()));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a text");
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).parse::<f64>().expect("a number")
        };
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
    }
}
