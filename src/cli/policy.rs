//! Looks at a policy as a party would load it: the figures that its presets and defaults stand for.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use wallet_policy::Settings;
use wallet_policy::settings::ShareRule;

use super::answer::{Answer, Facts};
use super::config::read::parse;
use super::problem::Problem;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show the figures a policy's settings stand for
    #[command(after_help = "\
Example:
  countersign policy show /etc/countersign-signer/policy.toml

Shows every figure in force, those of presets and defaults too: this text is what the policy's hash covers. Whether the
trust file allows them is judged by `countersign signer --check`.")]
    Show(ShowArgs),
}

/// What `show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A policy's settings
    #[arg(value_name = "FILE")]
    pub settings: PathBuf,
}

/// Runs one of the commands.
pub fn run(command: &PolicyCommand) -> Result<Answer, Problem> {
    let PolicyCommand::Show(args) = command;
    let text = std::fs::read_to_string(&args.settings);
    let text = text.map_err(|error| Problem::file(&args.settings, &error))?;
    let settings: Settings = parse(&text, "settings")?;
    settings.validate().map_err(|error| Problem::config(error.field, error.problem, error.cure))?;
    let preset = settings.hot_share.preset.map(|preset| preset.as_str());
    let mut facts = Facts::new()
        .line("preset", preset.unwrap_or("none"))
        .line("judged", settings.hot_share.scope())
        .maybe("share of the total", settings.hot_share.total());
    let mut assets = serde_json::Map::new();
    for asset in settings.assets.keys() {
        let ShareRule { asset: alone, target, .. } = settings.share_rule(asset);
        let share = alone.map_or_else(|| "not judged".to_owned(), |share| share.to_string());
        facts = facts.line(asset.clone(), format!("share {share}, swept down to {target}"));
        let alone = alone.map(|share| share.to_string());
        assets.insert(asset.clone(), json!({ "share": alone, "sweep_target": target.to_string() }));
    }
    let canonical = settings.canonical();
    let document = json!({
        "preset": preset,
        "scope": settings.hot_share.scope().to_string(),
        "total": settings.hot_share.total().map(|share| share.to_string()),
        "assets": assets,
        "settings": canonical,
    });
    Ok(Answer::ok(document, format!("{}\n{canonical}", facts.text())))
}
