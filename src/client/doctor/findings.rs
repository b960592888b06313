//! Findings of `doctor`, and their report.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;

use crate::client::report::CommandReport;

const PROBLEM: &str = "problem";
const WARNING: &str = "warning";

#[derive(Serialize)]
struct Finding {
    level: &'static str,
    /// Name of the check; scripts rely on it.
    check: &'static str,
    text: String,
    /// `None` if all is well.
    remedy: Option<Cow<'static, str>>,
}

/// Findings so far.
#[derive(Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding { level: "ok", check, text: text.into(), remedy: None });
    }

    pub fn warn(&mut self, check: &'static str, text: impl Into<String>, remedy: &'static str) {
        let remedy = Some(remedy.into());
        self.0.push(Finding { level: WARNING, check, text: text.into(), remedy });
    }

    pub fn problem(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) {
        let remedy = Some(remedy.into());
        self.0.push(Finding { level: PROBLEM, check, text: text.into(), remedy });
    }

    pub fn report(self) -> CommandReport {
        let mut report = CommandReport::default();
        for Finding { level, check, text, remedy } in &self.0 {
            report.line(format!("{level:8} {check}: {text}"));
            if let Some(remedy) = remedy {
                report.line(format!("         → {remedy}"));
            }
        }
        let count = |level| self.0.iter().filter(|finding| finding.level == level).count();
        let (problems, warnings) = (count(PROBLEM), count(WARNING));
        report.line(format!("problems: {problems}, warnings: {warnings}"));
        report.field("findings", json!(self.0));
        report.field("problems", problems);
        report.field("warnings", warnings);
        if problems > 0 {
            report.found_something();
        }
        report
    }
}
