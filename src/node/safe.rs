//! Reading a Safe at one block, as `ethereum::reading` judges it. Every single answer is agreed on by itself.

use alloy_primitives::{Address, B256, U256, address};
use alloy_sol_types::SolCall;
use tokio::try_join;

use super::abi::*;
use super::block::Block;
use super::call::{Call, Outcome};
use super::fault::NotAgreed;
use super::nodes::Nodes;
use super::said::Agreed;
use crate::ethereum::SafeFacts;
use crate::ethereum::pins::{Pin, Release};
use crate::ethereum::reading::{FALLBACK_HANDLER_SLOT, GUARD_SLOT, MODULE_GUARD_SLOT, SINGLETON_SLOT};
use crate::withdrawal::Code;

/// Where the list of modules begins and ends.
const SENTINEL: Address = address!("0x0000000000000000000000000000000000000001");
/// Modules on a page.
const PAGE_LEN: u64 = 50;
/// Pages that are read. One module is enough for distrust; more pages tell nothing new.
const PAGES_MAX: usize = 4;

/// A Safe could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SafeFault {
    /// Nothing is known.
    #[error(transparent)]
    NotAgreed(#[from] NotAgreed),
    /// It is known that no Safe answers there.
    #[error("no Safe answers there: `{0}` returns nothing that can be read")]
    NoSafe(&'static str),
}

impl SafeFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotAgreed(no) => no.code(),
            Self::NoSafe(_) => Code::SafeNotAsPinned,
        }
    }
}

impl Nodes {
    /// Reads the Safe at this address, and the contracts it leans on, at one block.
    pub async fn safe(
        &self,
        at: &Agreed<Block>,
        address: Address,
        release: &'static Release,
    ) -> Result<Agreed<SafeFacts>, SafeFault> {
        let code = async { self.pin(at, address).await.map_err(SafeFault::from) };
        let multi_send = async { self.pin(at, release.multi_send.address).await.map_err(SafeFault::from) };
        let (proxy, multi_send, singleton, fallback_handler, guard, module_guard) = try_join!(
            code,
            multi_send,
            self.pin_in_slot(at, address, SINGLETON_SLOT),
            self.pin_in_slot(at, address, FALLBACK_HANDLER_SLOT),
            self.address_in_slot(at, address, GUARD_SLOT),
            self.address_in_slot(at, address, MODULE_GUARD_SLOT),
        )?;
        let (version, owners, threshold, nonce, modules) = try_join!(
            self.question(at, address, VERSIONCall {}),
            self.question(at, address, getOwnersCall {}),
            self.question(at, address, getThresholdCall {}),
            self.question(at, address, nonceCall {}),
            self.modules(at, address),
        )?;
        Ok(at.implies(|_| SafeFacts {
            chain: self.chain(),
            address,
            proxy_code_hash: proxy.code_hash,
            singleton,
            version,
            owners,
            threshold,
            modules,
            guard,
            module_guard,
            fallback_handler,
            multi_send,
            nonce,
        }))
    }

    /// The nonce of the Safe at this address: nothing below it can be executed any more.
    pub async fn safe_nonce(&self, at: &Agreed<Block>, address: Address) -> Result<Agreed<u64>, SafeFault> {
        let nonce = self.question(at, address, nonceCall {}).await?;
        let nonce = u64::try_from(nonce).map_err(|_| SafeFault::NoSafe(nonceCall::SIGNATURE))?;
        Ok(at.implies(|_| nonce))
    }

    async fn pin(&self, at: &Agreed<Block>, address: Address) -> Result<Pin, NotAgreed> {
        Ok(Pin { address, code_hash: self.code_hash(at, address).await?.into_value() })
    }

    async fn address_in_slot(
        &self,
        at: &Agreed<Block>,
        safe: Address,
        slot: B256,
    ) -> Result<Address, SafeFault> {
        let word = self.storage(at, safe, slot).await?.into_value();
        let (high, low) = word.split_at(12);
        let clean = high.iter().all(|byte| *byte == 0);
        if clean { Ok(Address::from_slice(low)) } else { Err(SafeFault::NoSafe("a slot of an address")) }
    }

    async fn pin_in_slot(&self, at: &Agreed<Block>, safe: Address, slot: B256) -> Result<Pin, SafeFault> {
        let address = self.address_in_slot(at, safe, slot).await?;
        Ok(self.pin(at, address).await?)
    }

    async fn question<C: SolCall>(
        &self,
        at: &Agreed<Block>,
        safe: Address,
        question: C,
    ) -> Result<C::Return, SafeFault> {
        let answer = self.call(at, Call::question(safe, question.abi_encode())).await?.into_value();
        let read = match &answer {
            Outcome::Returned(bytes) => read_return::<C>(bytes),
            Outcome::Reverted(_) => None,
        };
        read.ok_or(SafeFault::NoSafe(C::SIGNATURE))
    }

    async fn modules(&self, at: &Agreed<Block>, safe: Address) -> Result<Vec<Address>, SafeFault> {
        let (mut all, mut start) = (Vec::new(), SENTINEL);
        for _ in 0..PAGES_MAX {
            let question = getModulesPaginatedCall { start, pageSize: U256::from(PAGE_LEN) };
            let page = self.question(at, safe, question).await?;
            all.extend(page.array);
            if page.next == SENTINEL || page.next.is_zero() {
                break;
            }
            start = page.next;
        }
        Ok(all)
    }
}
