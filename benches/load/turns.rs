//! Comparison of several sides by turns, and the spread of the results.
//!
//! A machine's pace drifts within seconds. So blocks are short, each block measures all sides, and blocks run
//! forwards and backwards alternately: a drift affects all sides alike. Ratios are taken within a block.

/// Measures each side once per block. `measure` receives the numbers of block and side; the result has the figures
/// of each side by block.
pub async fn by_turns<const SIDES: usize, T>(
    blocks: usize,
    mut measure: impl AsyncFnMut(usize, usize) -> T,
) -> [Vec<T>; SIDES] {
    let mut sides: [Vec<T>; SIDES] = std::array::from_fn(|_| Vec::with_capacity(blocks));
    for block in 0..blocks {
        for turn in 0..SIDES {
            let side = if block % 2 == 0 { turn } else { SIDES - 1 - turn };
            sides[side].push(measure(block, side).await);
        }
    }
    sides
}

/// Median of the blocks' figures, and the range that contains the true median 19 times of 20. The range of fewer
/// than six figures is that of the figures.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let outside = outside(sorted.len());
        Self {
            median: median_of_sorted(&sorted),
            low: sorted[outside],
            high: sorted[sorted.len() - 1 - outside],
        }
    }

    /// Of the ratios, block by block.
    pub fn of_ratios(ours: &[f64], other: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(other).map(|(ours, other)| ours / other).collect();
        Self::of(&ratios)
    }

    /// `0.983 (0.971 to 0.99)`, each figure formatted by `number`.
    pub fn text(&self, number: impl Fn(f64) -> String) -> String {
        format!("{} ({})", number(self.median), self.range(number))
    }

    /// `0.971 to 0.99`.
    pub fn range(&self, number: impl Fn(f64) -> String) -> String {
        format!("{} to {}", number(self.low), number(self.high))
    }
}

/// A single measurement.
impl From<f64> for Spread {
    fn from(figure: f64) -> Self {
        Self { median: figure, low: figure, high: figure }
    }
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    median_of_sorted(&figures)
}

fn median_of_sorted(figures: &[f64]) -> f64 {
    f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2])
}

/// Number of figures below and above the range that contains the median 19 times of 20. A figure is as probably
/// below the true median as above, so the number below has a binomial distribution.
fn outside(figures: usize) -> usize {
    let mut exactly = 0.5_f64.powi(figures as i32);
    let mut at_most = 0.0;
    for below in 0..figures {
        at_most += exactly;
        if 2.0 * at_most > 0.05 {
            return below.saturating_sub(1);
        }
        exactly *= (figures - below) as f64 / (below + 1) as f64;
    }
    0
}
