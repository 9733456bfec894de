//! Owns how much may rest hot: the named preset, the scope, and the figures that follow from them for one asset.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Settings, SettingsError, asset_field};
use crate::ratio::Share;

/// A rule that has a name, in place of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preset {
    /// The guidance of KISA: three tenths of each asset.
    #[serde(rename = "kisa-3-7")]
    Kisa37,
    /// Korea's Virtual Asset User Protection Act (decree art. 11, supervisory regulation art. 9): 80 % of the value of all
    /// assets rests cold. The default scope holds each asset to it as well.
    #[serde(rename = "user-protection-act-2-8")]
    UserProtectionAct28,
}

impl Preset {
    /// Its name in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kisa37 => "kisa-3-7",
            Self::UserProtectionAct28 => "user-protection-act-2-8",
        }
    }

    /// The share it stands for.
    pub const fn share(self) -> Share {
        match self {
            Self::Kisa37 => Share::KISA_3_7,
            Self::UserProtectionAct28 => Share::USER_PROTECTION_ACT_2_8,
        }
    }

    /// What it is judged over where nothing else is said.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Kisa37 => Scope::Asset,
            Self::UserProtectionAct28 => Scope::Both,
        }
    }
}

/// What the share is judged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Each asset by itself, in its own units.
    Asset,
    /// All assets together, by their value in won.
    Total,
    /// Both.
    Both,
}

impl Scope {
    /// Whether each asset is judged by itself.
    pub const fn has_asset(self) -> bool {
        matches!(self, Self::Asset | Self::Both)
    }

    /// Whether the total is judged.
    pub const fn has_total(self) -> bool {
        matches!(self, Self::Total | Self::Both)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asset => "asset",
            Self::Total => "total",
            Self::Both => "both",
        })
    }
}

/// What is said about the share for every asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HotShare {
    /// A name in place of figures.
    pub preset: Option<Preset>,
    /// What is judged; the preset's where nothing is said, and each asset where there is none.
    pub scope: Option<Scope>,
    /// The share of the total; the preset's where nothing is said, and three tenths where there is none.
    pub total: Option<Share>,
}

impl HotShare {
    /// What is judged.
    pub fn scope(&self) -> Scope {
        self.scope.unwrap_or(self.preset.map_or(Scope::Asset, Preset::scope))
    }

    /// The share of the total, where it is judged.
    pub fn total(&self) -> Option<Share> {
        let figure = self.total.or(self.preset.map(Preset::share)).unwrap_or_default();
        self.scope().has_total().then_some(figure)
    }
}

/// The figures in force for one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareRule {
    /// The share of the asset, where it is judged by itself.
    pub asset: Option<Share>,
    /// The share of the total in won, where that is judged.
    pub total: Option<Share>,
    /// What a sweep goes down to.
    pub target: Share,
}

impl ShareRule {
    /// The tightest share that is judged.
    pub fn limit(&self) -> Share {
        match (self.asset, self.total) {
            (Some(asset), Some(total)) if total.at_most(asset) => total,
            (Some(asset), _) => asset,
            (None, total) => total.unwrap_or_default(),
        }
    }
}

impl Settings {
    /// The figures in force for an asset; those of an asset that is not set are the defaults.
    pub fn share_rule(&self, asset: &str) -> ShareRule {
        let set = self.assets.get(asset);
        let preset = self.hot_share.preset.map(Preset::share);
        let figure = set.and_then(|s| s.share).or(preset).unwrap_or_default();
        let asset = self.hot_share.scope().has_asset().then_some(figure);
        let rule = ShareRule { asset, total: self.hot_share.total(), target: figure };
        let target = set.and_then(|s| s.sweep_target).unwrap_or_else(|| rule.limit().target());
        ShareRule { target, ..rule }
    }

    /// A figure that says something else than the preset, or one that nothing judges, is refused: one of the two is wrong.
    pub(super) fn validate_share(&self) -> Result<(), SettingsError> {
        let whole = &self.hot_share;
        if let Some(total) = whole.total {
            self.fits_preset("hot_share.total", total)?;
            if !whole.scope().has_total() {
                return Err(unjudged("hot_share.total", whole.scope()));
            }
        }
        for (asset, set) in &self.assets {
            let field = asset_field(asset, "share");
            if let Some(share) = set.share {
                self.fits_preset(&field, share)?;
                if !whole.scope().has_asset() {
                    return Err(unjudged(&field, whole.scope()));
                }
            }
            let rule = self.share_rule(asset);
            if !rule.target.at_most(rule.limit()) {
                let problem = format!("is {}, above the share of {}", rule.target, rule.limit());
                let cure = "set a target at or below the share, or leave it out";
                return Err(SettingsError::new(asset_field(asset, "sweep_target"), problem, cure));
            }
        }
        Ok(())
    }

    fn fits_preset(&self, field: &str, share: Share) -> Result<(), SettingsError> {
        match self.hot_share.preset {
            Some(preset) if !(share.at_most(preset.share()) && preset.share().at_most(share)) => {
                let problem =
                    format!("is {share}, and the preset `{}` means {}", preset.as_str(), preset.share());
                Err(SettingsError::new(field, problem, "take the figure out, or the preset"))
            }
            _ => Ok(()),
        }
    }
}

fn unjudged(field: &str, scope: Scope) -> SettingsError {
    let problem = format!("is set, and the scope `{scope}` does not judge it");
    SettingsError::new(field, problem, "take the figure out, or set hot_share.scope to \"both\"")
}
