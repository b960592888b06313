//! Expressions of the query language, judged by the figures that a daemon shows: what asks for a metric, a label or a
//! value that is not there would be an empty graph, or an alert that never fires.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, AggregateExpr, Call, Expr, LabelModifier, VectorSelector};

use super::samples::Samples;

/// What a scraper adds to each series.
const OF_SCRAPES: [&str; 2] = ["job", "instance"];

/// Metrics with their labels and values, as far as they were seen.
pub struct Shown(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Shown {
    pub fn new(samples: &Samples) -> Self {
        let mut metrics = samples.labels();
        // The scraper's own.
        metrics.insert("up".to_owned(), BTreeMap::new());
        Self(metrics)
    }

    /// Panics unless the expression can be evaluated and asks for what is there. Tells the metrics that it names.
    pub fn judge(&self, expression: &str) -> BTreeSet<String> {
        let expr =
            parser::parse(expression).unwrap_or_else(|error| panic!("{error}: {expression}"));
        let mut metrics = BTreeSet::new();
        self.look_at(&expr, &mut metrics);
        assert!(!metrics.is_empty(), "it asks for nothing: {expression}");
        metrics
    }

    /// Panics unless a series of `expression` has that label.
    pub fn assert_labelled(&self, expression: &str, label: &str) {
        let expr = parser::parse(expression).unwrap();
        let labels = self.labels_of(&expr);
        assert!(labels.contains(label), "no label {label}, only {labels:?}: {expression}");
    }

    fn look_at(&self, expr: &Expr, metrics: &mut BTreeSet<String>) {
        match expr {
            Expr::Aggregate(AggregateExpr { expr, modifier, .. }) => {
                if let Some(LabelModifier::Include(by)) = modifier {
                    let known = self.labels_of(expr);
                    for label in &by.labels {
                        assert!(known.contains(label), "by ({label}), but there is {known:?}");
                    }
                }
                self.look_at(expr, metrics);
            }
            Expr::Call(Call { func, args }) => {
                let arguments = || args.args.iter().map(|argument| &**argument);
                arguments().for_each(|argument| self.look_at(argument, metrics));
                let mut of_these = BTreeSet::new();
                arguments().for_each(|argument| self.look_at(argument, &mut of_these));
                for metric in of_these {
                    match func.name {
                        "rate" | "increase" => {
                            let grows = ["_total", "_bucket", "_sum", "_count"];
                            let grows = grows.iter().any(|suffix| metric.ends_with(suffix));
                            assert!(grows, "{} of {metric}, which does not only grow", func.name);
                        }
                        "histogram_quantile" => {
                            assert!(metric.ends_with("_bucket"), "a quantile of {metric}");
                            let of_buckets = self.labels_of(arguments().nth(1).unwrap());
                            assert!(of_buckets.contains("le"), "a quantile without le of {metric}");
                        }
                        _ => {}
                    }
                }
            }
            Expr::Binary(binary) => {
                self.look_at(&binary.lhs, metrics);
                self.look_at(&binary.rhs, metrics);
                let labels = binary.modifier.as_ref().and_then(|it| it.matching.as_ref());
                for label in labels.iter().flat_map(|on| &on.labels().labels) {
                    for side in [&binary.lhs, &binary.rhs] {
                        assert!(self.labels_of(side).contains(label), "matching on {label}");
                    }
                }
            }
            Expr::Paren(paren) => self.look_at(&paren.expr, metrics),
            Expr::Unary(unary) => self.look_at(&unary.expr, metrics),
            Expr::Subquery(subquery) => self.look_at(&subquery.expr, metrics),
            Expr::VectorSelector(selector) => self.select(selector, metrics),
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs, metrics),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }

    fn select(&self, selector: &VectorSelector, metrics: &mut BTreeSet<String>) {
        let labels = self.labels(selector);
        for Matcher { op, name, value } in &selector.matchers.matchers {
            if OF_SCRAPES.contains(&&**name) {
                continue;
            }
            let known = labels.get(name).unwrap_or_else(|| panic!("no label {name}: {selector:?}"));
            let is_pattern = matches!(op, MatchOp::Re(_) | MatchOp::NotRe(_));
            let values = if is_pattern { value.split('|').collect() } else { vec![&**value] };
            for value in values {
                assert!(known.contains(value), "{name} is never {value}: {known:?}");
            }
        }
        metrics.extend(selector.name.clone());
    }

    fn labels(&self, selector: &VectorSelector) -> &BTreeMap<String, BTreeSet<String>> {
        let name = selector.name.as_ref().unwrap_or_else(|| panic!("no name: {selector:?}"));
        self.0.get(name).unwrap_or_else(|| panic!("no such figure: {name}"))
    }

    /// What the series of a result are told apart by; of an operation, by the left side.
    fn labels_of(&self, expr: &Expr) -> BTreeSet<String> {
        match expr {
            Expr::Aggregate(aggregate) => match &aggregate.modifier {
                None => BTreeSet::new(),
                Some(LabelModifier::Include(by)) => by.labels.iter().cloned().collect(),
                Some(LabelModifier::Exclude(without)) => {
                    let mut labels = self.labels_of(&aggregate.expr);
                    labels.retain(|label| !without.labels.contains(label));
                    labels
                }
            },
            Expr::Call(call) => {
                let all = call.args.args.iter().map(|argument| self.labels_of(argument));
                let quantile = call.func.name == "histogram_quantile";
                all.flatten().filter(|label| !(quantile && label == "le")).collect()
            }
            // A number beside it has none.
            Expr::Binary(binary) => {
                let left = self.labels_of(&binary.lhs);
                if left.is_empty() { self.labels_of(&binary.rhs) } else { left }
            }
            Expr::Paren(paren) => self.labels_of(&paren.expr),
            Expr::Unary(unary) => self.labels_of(&unary.expr),
            Expr::Subquery(subquery) => self.labels_of(&subquery.expr),
            Expr::VectorSelector(selector) => self.all_labels(selector),
            Expr::MatrixSelector(matrix) => self.all_labels(&matrix.vs),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => BTreeSet::new(),
        }
    }

    fn all_labels(&self, selector: &VectorSelector) -> BTreeSet<String> {
        let own = self.labels(selector).keys().cloned();
        own.chain(OF_SCRAPES.map(str::to_owned)).collect()
    }
}
