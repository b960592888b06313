//! Check of the jobmakers: the age of their acks.

use std::time::{Duration, SystemTime};

use switcher_actors::{Inspector, NoAnswer, Seen, Shown, ZnodeDir};

use super::findings::Findings;

/// A jobmaker acks unasked every 300 seconds (contract, section 3); an older ack means that it has missed two.
const OLD_ACK: Duration = Duration::from_secs(900);

/// Most acks to read.
const SUB_POOLS: usize = 1000;

/// Checks the age of each sub-pool's ack.
pub async fn jobmakers(
    findings: &mut Findings,
    base_dir: &ZnodeDir,
    zookeeper: &Inspector,
) -> Result<(), NoAnswer> {
    const CHECK: &str = "jobmaker";
    const START: &str = "start the sub-pool's jobmaker, or read its log; if the sub-pool no longer \
        exists, delete its znodes";
    let mut sub_pools = Vec::new();
    for coin in zookeeper.children(base_dir.node()).await? {
        let coin_path = base_dir.child(&coin);
        let names = zookeeper.children(&coin_path).await?;
        sub_pools.extend(
            names
                .into_iter()
                .map(|name| (format!("{coin}/{name}"), format!("{coin_path}/{name}/ack"))),
        );
    }
    sub_pools.sort();
    if sub_pools.len() > SUB_POOLS {
        findings.warn(
            CHECK,
            format!("there are {} sub-pools; only {SUB_POOLS} are checked", sub_pools.len()),
            "delete the znodes of sub-pools that no longer exist",
        );
        sub_pools.truncate(SUB_POOLS);
    }
    if sub_pools.is_empty() {
        let text = format!("there is no sub-pool in {base_dir}");
        findings.warn(CHECK, text, "start a jobmaker, which creates its sub-pools' znodes");
    }
    let paths: Vec<_> = sub_pools.iter().map(|(_, path)| path.as_str()).collect();
    for ((name, _), ack) in sub_pools.iter().zip(zookeeper.look(&paths).await?) {
        let name = Shown(name);
        match ack {
            Seen::Znode { written, .. } => {
                // An ack ahead of our clock has no age.
                let age = SystemTime::now().duration_since(written).unwrap_or_default();
                let text = format!("{name} acked {} s ago", age.as_secs());
                if age > OLD_ACK {
                    findings.problem(CHECK, text + ", which is more than 900", START);
                } else {
                    findings.ok(CHECK, text);
                }
            }
            Seen::Nothing => findings.problem(CHECK, format!("{name} has no ack znode"), START),
            Seen::Forbidden(cause) => findings.problem(
                CHECK,
                format!("the ack of {name} cannot be read: {cause}"),
                "make it readable for all, or set ZKDigestCredentials to a user of its ACL",
            ),
        }
    }
    Ok(())
}
