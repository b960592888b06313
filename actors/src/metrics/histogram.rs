//! A histogram without a lock, since each request adds a value: the metrics crate's own takes a mutex per value.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Counts values by size. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One for each bound, that is values up to the bound, and one for greater values.
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Histogram {
    /// Upper bounds in seconds for operations that wait for ZooKeeper: from its fastest answer to beyond the deadlines.
    pub const SECONDS: &'static [f64] = &[
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];

    /// An empty histogram. `bounds` ascend; each is the inclusive upper bound of a bucket.
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0) }))
    }

    /// Adds a value.
    pub fn observe(&self, value: f64) {
        let Buckets { bounds, counts, sum } = &*self.0;
        counts[bounds.partition_point(|bound| *bound < value)].fetch_add(1, Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // `add` always returns a value, so this never fails.
        let _ = sum.fetch_update(Relaxed, Relaxed, add);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let Buckets { bounds, counts, sum } = &*self.0;
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(
            f64::from_bits(sum.load(Relaxed)),
            count,
            &buckets,
            None,
        )
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn a_value_is_in_the_bucket_that_it_ends() {
        let histogram = Histogram::new(&[1.0, 2.5]);
        for value in [0.0, 1.0, 1.1, 2.5, 3.0] {
            histogram.observe(value);
        }
        let mut registry = Registry::default();
        registry.register("h", "values", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "h_sum 7.6",
            "h_count 5",
            r#"h_bucket{le="1.0"} 2"#,
            r#"h_bucket{le="2.5"} 4"#,
            r#"h_bucket{le="+Inf"} 5"#,
        ];
        assert_eq!(samples, expected);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let histogram = Histogram::new(&[1.0]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.observe(0.5)));
            }
        });
        assert_eq!(f64::from_bits(histogram.0.sum.load(Relaxed)), 20_000.0);
        assert_eq!(histogram.0.counts[0].load(Relaxed), 40_000);
    }
}
