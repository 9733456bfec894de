//! Safes on a chain: deployed from the published packages, read, and paid from as signer and co-signer do it.

use alloy_primitives::{Address, B256, U256, keccak256};
use countersign::ethereum::check::Expectations;
use countersign::ethereum::pins::Pin;
use countersign::ethereum::reading::{FALLBACK_HANDLER_SLOT, GUARD_SLOT, MODULE_GUARD_SLOT, SINGLETON_SLOT};
use countersign::ethereum::*;
use countersign::keys::{KeyRole, Seat};

use super::chain::Chain;
pub use super::published::{deploy, published};
use super::seats::{EXECUTOR, Party};

pub const ETHER: u64 = 1_000_000_000_000_000_000;

/// A chain with one release, three owners, and an executor that has gas.
pub struct World {
    pub chain: Chain,
    pub party: Party,
    pub make: Make,
}

impl World {
    pub async fn new(chain: Chain, make: Make) -> Self {
        deploy(&chain, make.release).await;
        let party = Party::new(10);
        chain.bank_sends(party.executor(), U256::from(50 * u128::from(ETHER)), &[]).await;
        Self { chain, party, make }
    }

    pub fn wallet(&self, salt: u64) -> SafeWallet {
        SafeWallet::predict(self.chain.id, self.make, self.party.owners(), U256::from(salt))
    }

    /// The executor calls something; the transaction is sent as it would be.
    pub async fn execute(&self, to: Address, data: Vec<u8>) -> Receipt {
        let executor = self.party.executor();
        let base = self.chain.base_fee().await;
        let tip = 1_000_000_000;
        let gas = GasTerms { gas_limit: 10_000_000, fee_per_gas_max: base * 2 + tip, tip_per_gas_max: tip };
        let nonce = self.chain.count(executor).await;
        let built = Execution::build(ExecutionPlan { chain: self.chain.id, nonce, to, data, gas }).unwrap();
        let signed = self.party.sign(KeyRole::Signer, EXECUTOR, built.hash());
        let finished = built.finish(executor, signed.compact(), signed.recovery_id()).unwrap();
        self.chain.send(finished.bytes()).await
    }

    /// Has the canonical factory make the Safe, and finds it where it was predicted.
    pub async fn make_safe(&self, salt: u64) -> SafeWallet {
        let wallet = self.wallet(salt);
        let blueprint = Blueprint::new(self.make, &self.party.owners().all(), 2);
        let deployment = blueprint.deployment(U256::from(salt));
        assert!(self.execute(self.make.release.factory.address, deployment).await.succeeded);
        let code = self.chain.code_hash(wallet.address()).await;
        assert_eq!(code, self.make.release.proxy_code_hash, "a proxy stands where it was predicted");
        wallet
    }

    pub async fn trusted(&self, wallet: &SafeWallet) -> TrustedSafe {
        judge(wallet, &facts(&self.chain, wallet).await).unwrap()
    }

    /// Builds, checks and signs as B, checks and signs as A, and gives what goes on chain.
    pub async fn finish(
        &self,
        wallet: &SafeWallet,
        task: Task<'_>,
        expect: Expectations<'_>,
    ) -> (FinishedSafeTx, Vec<Action>) {
        let safe = self.trusted(wallet).await;
        let plan = UnsignedPlan { nonce: safe.nonce(), safe_tx_gas: 3_000_000, task };
        let proposal = Unsigned::build(&safe, &plan).unwrap().proposal();
        let for_b = check_proposal(
            &proposal,
            &safe,
            &Expectations { signed_by: None, ..copied(&expect, safe.nonce()) },
        )
        .unwrap();
        let b = self.sign(&for_b, KeyRole::Cosigner);
        let sent = for_b.proposal_with(&b).unwrap();
        let expect = Expectations {
            signed_by: Some(KeyRole::Cosigner),
            hash: Some(for_b.hash()),
            ..copied(&expect, safe.nonce())
        };
        let for_a = check_proposal(&sent, &safe, &expect).unwrap();
        let a = self.sign(&for_a, KeyRole::Signer);
        let finished = for_a.finish(&a, for_a.signature().unwrap()).unwrap();
        (finished, for_a.actions().to_vec())
    }

    pub fn sign(&self, checked: &CheckedSafeTx, role: KeyRole) -> VerifiedSignature {
        let signed = self.party.sign(role, Seat::Owner, checked.hash());
        checked.verify(role, signed.compact(), signed.recovery_id()).unwrap()
    }

    /// All of it, and what became of it.
    pub async fn settle(&self, wallet: &SafeWallet, task: Task<'_>, expect: Expectations<'_>) -> Verdict {
        let (finished, actions) = self.finish(wallet, task, expect).await;
        let receipt = self.execute(finished.safe(), finished.data().to_vec()).await;
        judge_receipt(&receipt, wallet.address(), finished.hash(), &actions)
    }

    pub async fn pay(&self, wallet: &SafeWallet, payees: &[Payee]) -> Verdict {
        self.settle(wallet, Task::Pay(payees.to_vec()), expecting(payees)).await
    }
}

/// What nothing meets but a payment of these.
pub fn expecting(payees: &[Payee]) -> Expectations<'_> {
    Expectations {
        hash: None,
        nonce: 0,
        signed_by: None,
        safe_tx_gas_max: 5_000_000,
        payees,
        cold: None,
        executor: None,
        emptying: None,
        rotation: None,
        is_own: &|_| false,
        has_code: &|_| false,
    }
}

fn copied<'a>(expect: &Expectations<'a>, nonce: u64) -> Expectations<'a> {
    Expectations {
        nonce,
        hash: expect.hash,
        signed_by: expect.signed_by,
        safe_tx_gas_max: expect.safe_tx_gas_max,
        payees: expect.payees,
        cold: expect.cold,
        executor: expect.executor,
        emptying: expect.emptying,
        rotation: expect.rotation,
        is_own: expect.is_own,
        has_code: expect.has_code,
    }
}

/// Reads a Safe as a node door will.
pub async fn facts(chain: &Chain, wallet: &SafeWallet) -> SafeFacts {
    let (at, release) = (wallet.address(), wallet.make().release);
    let slot = async |slot: B256| Address::from_word(chain.storage(at, slot).await);
    let pin = async |address: Address| Pin { address, code_hash: chain.code_hash(address).await };
    let ask = async |name: &str, args: &[u8]| {
        let data = [&keccak256(name)[..4], args].concat();
        chain.call(at, &data).await.unwrap()
    };
    let first_page = [U256::from(1).to_be_bytes::<32>(), U256::from(50).to_be_bytes::<32>()].concat();
    let version = ask("VERSION()", &[]).await;
    SafeFacts {
        chain: chain.id,
        address: at,
        proxy_code_hash: chain.code_hash(at).await,
        singleton: pin(slot(SINGLETON_SLOT).await).await,
        version: String::from_utf8(version[64..].to_vec()).unwrap().trim_end_matches('\0').to_owned(),
        owners: addresses(&ask("getOwners()", &[]).await, 1),
        threshold: U256::from_be_slice(&ask("getThreshold()", &[]).await),
        modules: addresses(&ask("getModulesPaginated(address,uint256)", &first_page).await, 2),
        guard: slot(GUARD_SLOT).await,
        module_guard: slot(MODULE_GUARD_SLOT).await,
        fallback_handler: pin(slot(FALLBACK_HANDLER_SLOT).await).await,
        multi_send: pin(release.multi_send.address).await,
        nonce: U256::from_be_slice(&ask("nonce()", &[]).await),
    }
}

/// A list of addresses behind that many words and its length.
fn addresses(returned: &[u8], words: usize) -> Vec<Address> {
    returned[32 * (words + 1)..].chunks(32).map(|word| Address::from_slice(&word[12..])).collect()
}

pub fn stranger(n: u8) -> Address {
    Address::from_word(keccak256([n, 77]))
}

pub fn ether(chain: &Chain, to: Address, wei: u64) -> Payee {
    Payee { to, asset: EvmAsset::Ether(chain.id), amount: Units::new(U256::from(wei)) }
}

pub fn tokens(chain: &Chain, token: Address, to: Address, units: u64) -> Payee {
    Payee { to, asset: EvmAsset::Token(chain.id, token), amount: Units::new(U256::from(units)) }
}
