//! The pages of procedures, each run in a world of its own: see [`super::terminal`].

use countersign::evidence::trust_file::OperatorEntry;
use wallet_policy::Settings;

use super::terminal::{Terminal, page};
use super::world::*;

/// kim and cho of the treasury, lee of risk. From ten million won on one of the treasury approves, from fifty on one of
/// risk as well.
fn three_operators() -> Plan {
    let mut plan = Plan::default();
    let cho =
        OperatorEntry { name: "cho".into(), groups: vec!["treasury".into()], keys: vec![ssh_public(13)] };
    plan.trust.operators.push(cho);
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        let second = "needs = { treasury = 1 }\n[[tiers]]\nfrom_krw = \"50000000\"\nneeds = { treasury = 1, risk = 1 }";
        let text = policy_text().replacen("needs = { treasury = 1 }", second, 1);
        settings.tiers = toml::from_str::<Settings>(&text).unwrap().tiers;
    }
    // The co-signer's is its own, and a little tighter.
    for asset in plan.cosigner_policy.assets.values_mut() {
        asset.daily_limit.0 -= 1;
    }
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_approvals_is_what_its_commands_print() {
    let world = World::funded(three_operators(), 8, 70 * COIN).await;
    let Some(terminal) = Terminal::at(&world).await else { return };
    page("docs/operations/approvals.md", &world, terminal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_operations_is_what_its_commands_print() {
    let world = World::funded(Plan::default(), 8, 70 * COIN).await;
    let Some(terminal) = Terminal::at(&world).await else { return };
    page("docs/operations.md", &world, terminal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_treasury_is_what_its_commands_print() {
    let world = World::funded(Plan::default(), 1, 3 * COIN).await;
    let Some(terminal) = Terminal::at(&world).await else { return };
    page("docs/operations/treasury.md", &world, terminal).await;
}
