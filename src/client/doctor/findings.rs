//! Findings of `doctor`, and their report.

use std::{borrow::Cow, fmt};

use serde_json::{Value, json};

use crate::client::report::CommandReport;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Ok,
    Warning,
    Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

struct Finding {
    severity: Severity,
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
        self.0.push(Finding { severity: Severity::Ok, check, text: text.into(), remedy: None });
    }

    pub fn warn(&mut self, check: &'static str, text: impl Into<String>, remedy: &'static str) {
        let remedy = Some(remedy.into());
        self.0.push(Finding { severity: Severity::Warning, check, text: text.into(), remedy });
    }

    pub fn problem(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) {
        let remedy = Some(remedy.into());
        self.0.push(Finding { severity: Severity::Problem, check, text: text.into(), remedy });
    }

    pub fn report(self) -> CommandReport {
        let mut report = CommandReport::default();
        let count = |severity| self.0.iter().filter(|it| it.severity == severity).count();
        let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
        let mut findings: Vec<Value> = Vec::new();
        for Finding { severity, check, text, remedy } in &self.0 {
            report.line(format!("{severity:8} {check}: {text}"));
            if let Some(remedy) = remedy {
                report.line(format!("         → {remedy}"));
            }
            let level = severity.to_string();
            findings.push(json!({"level": level, "check": check, "text": text, "remedy": remedy}));
        }
        report.line(format!("problems: {problems}, warnings: {warnings}"));
        report.field("findings", findings);
        report.field("problems", problems);
        report.field("warnings", warnings);
        if problems > 0 {
            report.found_something();
        }
        report
    }
}
