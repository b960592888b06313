//! The dashboard and the alert rules that we ship ask for what the daemon shows, and agree with each other and with
//! the operator's handbook.

use std::collections::BTreeSet;

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;
use upstream_sim::{Reply, Upstream};

use super::Admin;
use super::promql::Shown;
use crate::support::certificates::Authority;
use crate::support::client::{Answer, Request};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::tls;

const HANDBOOK: &str = "docs/operate/operations.md";

/// What a daemon shows on which everything is on, and which has met what alerts ask for.
async fn shown() -> Shown {
    let mut zookeeper = ZooKeeper::private().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let builder = Daemon::builder(&zookeeper)
        .admin()
        .set("EnableCronJob", true)
        .set("ZKSubPoolUpdateBaseDir", "/subpool/")
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()))
        .set(
            "UserListAPI",
            serde_json::json!({"bch": format!("http://{}/list", upstream.address())}),
        )
        .set("IntervalSeconds", 1);
    let with_tls = tls::with(Daemon::builder(&zookeeper).admin(), &Authority::new("root").server());
    let with_tls = with_tls.set("TLSListeners", serde_json::json!(["api"])).start().await;
    let with_tls = Admin::of(&with_tls).await.samples().await;
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(daemon.send_as_is(&Request::switch("alice", "btc")).await.status, 401);
    zookeeper.znodes().await.put_forbidden(&daemon.path("mallory"), "btc").await;
    assert_eq!(daemon.switch("mallory", "bcc").await.err_no, 107);
    zookeeper.kill9();
    admin.wait_for("switcher_zookeeper_session_up", 0.0).await;
    assert_eq!(daemon.switch("alice", "btc").await.err_no, 105);
    Shown::new(&admin.samples().await.and(with_tls))
}

fn file(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}: {}", path.display()))
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

/// A text of the dashboard's, which is there.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().filter(|it| !it.is_empty()).unwrap_or_else(|| panic!("no {name}: {value}"))
}

struct Alert {
    name: String,
    expression: String,
    /// Names and texts.
    annotations: Vec<(String, String)>,
}

fn alerts() -> Vec<Alert> {
    let rules = file("config/prometheus-alerts.yaml");
    let rules = &Yaml::load_from_str(&rules).unwrap()[0];
    let groups = rules["groups"].as_vec().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_vec().unwrap());
    let text = |value: &Yaml<'_>| value.as_str().unwrap().to_owned();
    let rule = |rule: &Yaml<'_>| {
        let annotations = rule["annotations"].as_mapping().unwrap();
        let annotations = annotations.iter().map(|(name, value)| (text(name), text(value)));
        let annotations = annotations.collect();
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()));
        Alert { name: text(&rule["alert"]), expression: text(&rule["expr"]), annotations }
    };
    rules.map(rule).collect()
}

#[tokio::test]
async fn panels_and_alerts_ask_for_what_the_daemon_shows() {
    let shown = shown().await;
    let dashboard: Value = serde_json::from_str(&file("config/grafana-dashboard.json")).unwrap();
    let mut on_panels = BTreeSet::new();
    for target in panels(&dashboard).iter().flat_map(|it| it["targets"].as_array()).flatten() {
        let expression = text(target, "expr");
        // Both are chosen by who looks.
        for chosen in [r#"job=~"$job""#, r#"instance=~"$instance""#] {
            assert!(expression.contains(chosen), "not of {chosen}: {expression}");
        }
        let expression = expression.replace("$__rate_interval", "5m");
        assert!(!expression.contains("$__"), "{expression}");
        on_panels.extend(shown.judge(&expression));
        for label in text(target, "legendFormat").split("{{").skip(1) {
            shown.assert_labelled(&expression, label.split("}}").next().unwrap());
        }
    }
    let alerts = alerts();
    assert!(alerts.len() >= 10);
    for Alert { name, expression, annotations } in alerts {
        let metrics = shown.judge(&expression);
        let missing: Vec<_> = metrics.difference(&on_panels).collect();
        assert!(missing.is_empty(), "{name}: no panel shows {missing:?}");
        for (_, text) in annotations {
            for label in text.split("$labels.").skip(1) {
                let end = label.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                shown.assert_labelled(&expression, &label[..end.unwrap_or(label.len())]);
            }
        }
    }
}

#[test]
fn dashboard_is_one_that_can_be_imported() {
    let dashboard: Value = serde_json::from_str(&file("config/grafana-dashboard.json")).unwrap();
    assert_eq!(text(&dashboard, "uid"), "switcher-api-server");
    assert_eq!(dashboard.get("id"), None, "an id is another Grafana's");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|it| (text(it, "name"), text(it, "type"))).collect();
    assert_eq!(names, [("datasource", "datasource"), ("job", "query"), ("instance", "query")]);

    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap());
        assert!(x + w <= 24 && w > 0 && h > 0, "{title} is beyond the edge");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} overlaps another at {place:?}");
        }
        if text(panel, "type") == "row" {
            continue;
        }
        text(&panel["fieldConfig"]["defaults"], "unit");
        let targets = panel["targets"].as_array().unwrap();
        for source in targets.iter().chain([panel]).map(|it| &it["datasource"]) {
            assert_eq!(
                (text(source, "type"), text(source, "uid")),
                ("prometheus", "${datasource}")
            );
        }
        let refs: BTreeSet<_> = targets.iter().map(|it| text(it, "refId")).collect();
        assert_eq!(refs.len(), targets.len(), "{title}");
    }
}

/// Where a heading is found by what links to it.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn each_alert_points_at_its_part_of_the_handbook() {
    let anchors = anchors(&file(HANDBOOK));
    for Alert { name: alert, annotations, .. } in alerts() {
        let names: Vec<_> = annotations.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["summary", "description", "runbook"], "{alert}");
        let (at, anchor) = annotations[2].1.split_once('#').unwrap();
        assert_eq!((at, anchor), (HANDBOOK, &*alert.to_lowercase()));
        assert!(anchors.contains(anchor), "{HANDBOOK} has no heading {alert}");
    }
    let told = file(HANDBOOK);
    let headings = told.lines().filter_map(|line| line.strip_prefix("### Switcher"));
    let known: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    for heading in headings {
        assert!(known.contains(&format!("Switcher{heading}")), "no alert Switcher{heading}");
    }
}
