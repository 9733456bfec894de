//! A whole made-up world for tests, here and in the rooms above: keys from fixed seeds, a trust file, one of each text.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use alloy_primitives::{Address, B256, U256, b256};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use ssh_key::private::Ed25519Keypair;
use ssh_key::public::{Ed25519PublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use uuid::Uuid;

use super::request::render_request;
use super::trust_file::{self, *};
use super::*;
use crate::withdrawal::*;

/// The moment at which everything in this world happens.
pub const NOW: Seconds = Seconds(1_800_000_000);
/// The asset everything is about.
pub const ASSET: Asset = Asset::Bitcoin(Network::Mainnet);
/// Ages used at the doors.
pub const AGE: u64 = 600;

/// Seeds: who holds which key.
pub const EXCHANGE: u8 = 1;
pub const OBSERVER: u8 = 2;
pub const ROBOT: u8 = 3;
pub const ASLEEP: u8 = 4;
pub const ATTESTATION: u8 = 5;
pub const OTHER_EXCHANGE: u8 = 6;
pub const CUSTODIAN: u8 = 7;
pub const STRANGER: u8 = 9;

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> String {
    HEXLOWER.encode(key(seed).verifying_key().as_bytes())
}

pub fn ssh_key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub fn ssh_private(seed: u8) -> String {
    ssh_key(seed).to_openssh(LineEnding::LF).unwrap().to_string()
}

pub fn ssh_public(seed: u8) -> String {
    ssh_key(seed).public_key().to_openssh().unwrap()
}

/// The P-256 key of RFC 6979 A.2.5, wrapped in OpenSSH form.
pub fn ssh_p256() -> PrivateKey {
    let d = HEXLOWER.decode(b"00c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721").unwrap();
    let point = HEXLOWER
        .decode(b"0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299")
        .unwrap();
    let public = [string(b"ecdsa-sha2-nistp256"), string(b"nistp256"), string(&point)].concat();
    let mut private = [vec![0; 8], public.clone(), string(&d), string(b"")].concat();
    (1..).take((8 - private.len() % 8) % 8).for_each(|pad| private.push(pad));
    let file = [
        b"openssh-key-v1\0".to_vec(),
        string(b"none"),
        string(b"none"),
        string(b""),
        vec![0, 0, 0, 1],
        string(&public),
        string(&private),
    ];
    PrivateKey::from_bytes(&file.concat()).unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A security key in software, with the flags one likes.
pub enum SecurityKey {
    Ed25519(u8),
    P256,
}

impl SecurityKey {
    pub fn public(&self) -> PublicKey {
        let data = match self {
            Self::Ed25519(seed) => {
                let public = Ed25519PublicKey(key(*seed).verifying_key().to_bytes());
                KeyData::SkEd25519(SkEd25519::new(public, "ssh:"))
            }
            Self::P256 => {
                let p256 = ssh_p256();
                let ssh_key::public::EcdsaPublicKey::NistP256(point) =
                    p256.public_key().key_data().ecdsa().unwrap()
                else {
                    panic!("no P-256 point")
                };
                KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*point, "ssh:"))
            }
        };
        PublicKey::new(data, "")
    }

    pub fn sign(&self, namespace: &str, text: &str, flags: u8) -> String {
        let hashed = SshSig::signed_data(namespace, HashAlg::Sha512, text.as_bytes()).unwrap();
        let tail = [flags, 0, 0, 0, 7];
        let message = [&Sha256::digest(b"ssh:")[..], &tail, &Sha256::digest(&hashed)[..]].concat();
        let (name, raw) = match self {
            Self::Ed25519(seed) => {
                ("sk-ssh-ed25519@openssh.com", key(*seed).sign(&message).to_bytes().to_vec())
            }
            Self::P256 => {
                let signed: ssh_key::Signature = ed25519_dalek::Signer::sign(&ssh_p256(), &message);
                ("sk-ecdsa-sha2-nistp256@openssh.com", signed.as_bytes().to_vec())
            }
        };
        let signature = [string(name.as_bytes()), string(&raw), tail.to_vec()].concat();
        let blob = [
            b"SSHSIG".to_vec(),
            vec![0, 0, 0, 1],
            string(&self.public().to_bytes().unwrap()),
            string(namespace.as_bytes()),
            string(b""),
            string(b"sha512"),
            string(&signature),
        ];
        armor(&blob.concat())
    }
}

pub fn armor(blob: &[u8]) -> String {
    let base64 = BASE64.encode(blob);
    let lines: Vec<_> = base64.as_bytes().chunks(70).map(|l| std::str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

/// What the trust file of this world says.
pub fn content() -> TrustContent {
    let vasp = |id: &str, name: &str, seed, active| VaspEntry {
        id: id.into(),
        name: name.into(),
        identity_key: Some(public(seed)),
        network: None,
        jurisdiction: None,
        active,
    };
    let operator = |name: &str, groups: &[&str], keys: Vec<String>| OperatorEntry {
        name: name.into(),
        groups: groups.iter().map(|g| (*g).into()).collect(),
        keys,
    };
    let request_key = |organisation: &str, id: &str, seed, not_after| RequestKeyEntry {
        organisation: organisation.into(),
        id: id.into(),
        key: public(seed),
        not_after,
        people: Vec::new(),
    };
    TrustContent {
        version: 7,
        vasp: OwnVasp { id: "1111".into(), name: "Hanbit Exchange".into() },
        cosigner: CosignerKeys { attestation_key: public(ATTESTATION), custodian_key: None },
        log: LogKeys {
            signer: "signer.example+1234abcd+AQ==".into(),
            cosigner: "cosigner.example+5678abcd+BA==".into(),
        },
        guard: [("limit_day_sat".to_owned(), "5000000000".to_owned())].into(),
        wallets: vec![
            WalletEntry {
                network: "mainnet".into(),
                hot: "wsh(hot)#aaaaaaaa".into(),
                cold: Some("wsh(cold)#bbbbbbbb".into()),
                safe: None,
                executor: None,
                emptying: None,
                tokens: Vec::new(),
            },
            WalletEntry {
                network: "testnet4".into(),
                hot: "wsh(test)#cccccccc".into(),
                cold: None,
                safe: None,
                executor: None,
                emptying: None,
                tokens: Vec::new(),
            },
        ],
        request_keys: vec![
            request_key("hanbit", "2026-a", EXCHANGE, None),
            request_key("hanbit", "ended", 7, Some(NOW.0 - 100)),
            request_key("other", "2026-a", OTHER_EXCHANGE, None),
        ],
        statement_keys: vec![
            StatementKeyEntry {
                observer: "watcher-1".into(),
                key: public(OBSERVER),
                kinds: ["coins", "position", "price", "chain", "safe", "deposits", "ownership"]
                    .map(str::to_owned)
                    .into(),
            },
            StatementKeyEntry { observer: "prices".into(), key: public(8), kinds: vec!["price".into()] },
        ],
        operators: vec![
            operator(
                "kim",
                &["treasury", "risk"],
                vec![ssh_public(11), SecurityKey::Ed25519(12).public().to_openssh().unwrap()],
            ),
            operator("lee", &["treasury"], vec![ssh_p256().public_key().to_openssh().unwrap()]),
            operator("park", &["risk"], vec![SecurityKey::P256.public().to_openssh().unwrap()]),
        ],
        vasps: vec![
            vasp("4855741808338010592", "로봇 Robot VASP", ROBOT, true),
            vasp("2222", "Asleep", ASLEEP, false),
        ],
    }
}

pub fn quorum() -> Quorum {
    let people: Vec<_> = [("alice", 21), ("alice", 24), ("bob", 22), ("carol", 23)]
        .map(|(name, seed)| (name.to_owned(), ssh_public(seed)))
        .into();
    Quorum::new(2, &people).unwrap()
}

pub fn open(content: &TrustContent) -> Result<Trust, NotProven> {
    let text = trust_file::render(content).unwrap();
    let signatures = [21, 22].map(|seed| sign_ssh(&ssh_private(seed), NAMESPACE_TRUST, &text).unwrap());
    Trust::open(&text, &[&signatures[0], &signatures[1]], &quorum(), 0)
}

pub fn trust() -> Trust {
    open(&content()).unwrap()
}

pub fn request() -> WithdrawalRequest {
    WithdrawalRequest {
        organisation: Organisation::parse("hanbit").unwrap(),
        request_id: RequestId::parse("w-000001").unwrap(),
        customer_ref: CustomerRef::parse("customer 31337").unwrap(),
        asset: ASSET,
        destination: "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".into(),
        amount: Amount::from_sat(150_000),
        fee_max: Amount::from_sat(5_000),
        beneficiary_vasp: VaspId(4_855_741_808_338_010_592),
        asked_at: Seconds(NOW.0 - 30),
    }
}

pub fn verified(request: &WithdrawalRequest) -> VerifiedRequest {
    let signed = sign_request(request, ed25519(&key(EXCHANGE))).unwrap();
    verify_request(&signed.text, "2026-a", &signed.signature, &trust(), NOW, AGE).unwrap()
}

pub fn answer() -> VerificationAnswer {
    let request = request();
    VerificationAnswer {
        uuid: Uuid::parse_str("3f2a1c9e-8f7b-4d3c-9a51-0b6e2d4c8f10").unwrap(),
        kind: AnswerKind::User,
        originating_vasp: VaspId(1111),
        beneficiary_vasp: request.beneficiary_vasp,
        asset: request.asset,
        network: request.asset.chain(),
        destination: request.destination.clone(),
        amount: request.amount,
        commitment: Some(answer::commitment(&[0x5a; 32], br#"{"beneficiary":"made up"}"#)),
        result: AnswerResult::Verified,
        reason: "OK".into(),
        answered_at: Seconds(NOW.0 - 10),
        request_digest: digest(&render_request(&request)),
    }
}

pub fn statements() -> Vec<Statement> {
    let raw = HEXLOWER
        .decode(b"0200000001000000000000000000000000000000000000000000000000000000000000000000000000000000000001f049020000000000160014751e76e8199196d454941c45d1b3a323f1433bd600000000")
        .unwrap();
    let txid: [u8; 32] = Sha256::digest(Sha256::digest(&raw)).into();
    let coins = vec![
        Coin { txid, vout: 0, confirmations: 6 },
        Coin { txid: std::array::from_fn(|i| u8::try_from(i).unwrap()), vout: 3, confirmations: 0 },
    ];
    let bodies = [
        Body::Coins { transactions: vec![raw], coins },
        Body::Position {
            cold: vec![
                (ASSET, Amount::from_sat(70_000_000_000)),
                (Asset::Bitcoin(Network::Testnet4), Amount::ZERO),
            ],
            swept: vec![txid],
        },
        Body::Price(vec![(ASSET, Krw(150_000_000))]),
        Body::Chain(vec![ChainFact {
            chain: Chain::Bitcoin(Network::Mainnet),
            height: 980_000,
            fee_rate: FeeRate(12_500),
        }]),
        Body::Safe(Box::new(safe_fact())),
        Body::Ownership(ownership_fact(CONTRACT_PROOF)),
        Body::Deposits(Box::new(deposits_fact())),
    ];
    let at = Seconds(NOW.0 - 20);
    let state = |(n, body): (u64, Body)| Statement {
        observer: "watcher-1".into(),
        number: 41 + n,
        after: 40,
        at,
        body,
    };
    (0..).zip(bodies).map(state).collect()
}

/// The second page of deposit addresses: three of them hold something, and one of these stands already.
pub fn deposits_fact() -> DepositsFact {
    let chain = ChainId::MAINNET;
    let ether = EvmAsset::Ether(chain);
    let token = EvmAsset::Token(chain, address("0xdAC17F958D2ee523a2206206994597C13D831ec7"));
    let held = |index, asset, units| Held { index, asset, amount: Amount::from_units(units) };
    DepositsFact {
        chain,
        treasury: address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        height: 23_000_100,
        block_hash: B256::repeat_byte(0xb1),
        page: 1,
        assets: vec![ether, token],
        deployed: vec![117],
        held: vec![
            held(100, ether, 1_500_000_000_000_000_000),
            held(117, ether, 1),
            held(117, token, 250_000_000),
            held(199, token, 3),
        ],
    }
}

/// The hot Safe of this world at one block: Safe 1.4.1 behind its canonical proxy, with a token, and two transactions behind it.
pub fn safe_fact() -> SafeFact {
    let chain = ChainId::MAINNET;
    let contract = |at, code_hash| Contract { address: address(at), code_hash };
    let token = EvmAsset::Token(chain, address("0xdAC17F958D2ee523a2206206994597C13D831ec7"));
    let executed = |n: u8, ending| ExecutedFact {
        nonce: n.into(),
        safe_tx_hash: B256::repeat_byte(n),
        ending,
        transaction: B256::repeat_byte(n + 100),
        height: 23_000_000 + u64::from(n),
    };
    SafeFact {
        chain,
        safe: address("0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"),
        height: 23_000_100,
        block_hash: B256::repeat_byte(0xb1),
        proxy_code_hash: b256!("0xd7d408ebcd99b2b70be43e20253d6d92a8ea8fab29bd3be7f55b10032331fb4c"),
        singleton: contract(
            "0x41675C099F32341bf84BFc5382aF534df5C7461a",
            b256!("0x1fe2df852ba3299d6534ef416eefa406e56ced995bca886ab7a553e6d0c5e1c4"),
        ),
        version: "1.4.1".into(),
        owners: [
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
            "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF",
            "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69",
        ]
        .map(address)
        .into(),
        threshold: U256::from(2),
        modules: Vec::new(),
        guard: Address::ZERO,
        module_guard: Address::ZERO,
        fallback_handler: contract(
            "0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99",
            b256!("0x7c6007a5d711cea8dfd5d91f5940ec29c7f200fe511eb1fc1397b367af3c42f9"),
        ),
        multi_send: contract(
            "0x9641d764fc13c8B624c04430C7356C1C7C8102e2",
            b256!("0xecd5bd14a08c5d2122379900b2f272bdf107a7e92423c10dd5fe3254386c9939"),
        ),
        nonce: U256::from(9),
        balances: vec![
            (Asset::Evm(EvmAsset::Ether(chain)), Amount::from_units(25_000_000_000_000_000_000)),
            (Asset::Evm(token), Amount::ZERO),
        ],
        decimals: vec![(token, 6)],
        executor: Some((
            address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
            Amount::from_units(90_000_000_000_000_000),
        )),
        executed: vec![executed(7, Ending::Paid), executed(8, Ending::Reverted)],
    }
}

/// What the contract of this world accepts.
pub const CONTRACT_PROOF: &str = "0x1271";

/// That the wallet of [`evm_claim`], taken for a contract, accepts this proof of its message.
pub fn ownership_fact(proof: &str) -> OwnershipFact {
    let message = ownership_message(&evm_claim(), &challenge_name(&challenge_for(evm_claim()).text));
    OwnershipFact {
        chain: ChainId::MAINNET,
        height: 23_000_100,
        block_hash: B256::repeat_byte(0xb1),
        contract: address(EVM_ACCOUNT),
        message_hash: alloy_primitives::eip191_hash_message(message),
        proof_digest: digest(proof),
    }
}

/// The key of EIP-155's own example, with its account.
pub const EVM_KEY: [u8; 32] = [0x46; 32];
pub const EVM_ACCOUNT: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";

/// A customer's account on Ethereum.
pub fn evm_claim() -> WalletClaim {
    WalletClaim {
        organisation: request().organisation,
        customer_ref: request().customer_ref,
        asset: Asset::Evm(EvmAsset::Ether(ChainId::MAINNET)),
        address: EVM_ACCOUNT.into(),
    }
}

pub fn challenge_for(claim: WalletClaim) -> Signed {
    let issued_at = Seconds(NOW.0 - 300);
    let challenge =
        WalletChallenge { claim, nonce: [0xc4; 16], issued_at, expires_at: issued_at.plus(3_600) };
    sign_challenge(&challenge, ed25519(&key(ATTESTATION))).unwrap()
}

/// What `personal_sign` of a wallet with this key gives (EIP-191): `0x`, r, s and v.
pub fn personal_sign(key: &[u8; 32], message: &str) -> String {
    let key = secp256k1::SecretKey::from_slice(key).unwrap();
    let hash = secp256k1::Message::from_digest(alloy_primitives::eip191_hash_message(message).0);
    let signature = secp256k1::Secp256k1::new().sign_ecdsa_recoverable(&hash, &key);
    let (id, compact) = signature.serialize_compact();
    let v = u8::try_from(id.to_i32()).unwrap() + 27;
    format!("0x{}{v:02x}", HEXLOWER.encode(&compact))
}

/// The registration of that account, proved by its key.
pub fn evm_registration() -> WalletRegistration {
    let challenge = challenge_for(evm_claim());
    let message = ownership_message(&evm_claim(), &challenge_name(&challenge.text));
    WalletRegistration {
        claim: evm_claim(),
        challenge: digest(&challenge.text),
        proof_kind: ProofKind::Eip191,
        proof: personal_sign(&EVM_KEY, &message),
        registered_at: Seconds(NOW.0 - 30),
    }
}

pub fn address(text: &str) -> Address {
    evm_address::read(text).unwrap()
}

pub fn attestation() -> AddressAttestation {
    AddressAttestation {
        organisation: Organisation::parse("hanbit").unwrap(),
        customer_ref: CustomerRef::parse("customer 31337").unwrap(),
        wallet: "d34db33fcafef00d".into(),
        network: Chain::Bitcoin(Network::Mainnet),
        branch: 0,
        index: 17,
        address: "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3".into(),
        attested_at: NOW,
    }
}

pub fn void() -> WithdrawalVoid {
    let WithdrawalRequest { organisation, request_id, .. } = request();
    let cancel = CancelRequest { organisation, request_id, asked_at: NOW };
    WithdrawalVoid {
        organisation: cancel.organisation.clone(),
        request_id: cancel.request_id.clone(),
        cause: VoidCause::Cancelled,
        evidence: digest(&cancel::render_cancel(&cancel)),
        voided_at: NOW,
    }
}

pub fn custody_order() -> CustodyOrder {
    CustodyOrder {
        reservation: ReservationId::of_txid(&[0x1d; 32]),
        txid: [0x1d; 32],
        wallet: attestation().wallet,
        psbt_digest: [0x5b; 32],
    }
}

pub fn custody_refusal() -> CustodyRefusal {
    CustodyRefusal {
        reservation: custody_order().reservation,
        txid: custody_order().txid,
        reason: "the destination is not on our list".into(),
        refused_at: NOW,
    }
}

pub fn refill() -> RefillAttestation {
    let line = |n: u8, amount_sat| RefillTransactionLine {
        txid: HEXLOWER.encode(&[n; 32]),
        vout: u32::from(n),
        amount_sat,
    };
    RefillAttestation {
        refill: "rf_00000042".into(),
        wallet: "d34db33fcafef00d".into(),
        network: Network::Mainnet,
        index: 23,
        address: "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3".into(),
        transactions: vec![line(1, 250_000_000), line(2, 70_000_000)],
        attested_at: NOW,
    }
}

pub fn approval() -> ApprovalText {
    let policies = PolicyHashes { signer: [0xaa; 32], cosigner: [0xbb; 32] };
    let expires_at = Seconds(request().asked_at.0 + 86_400);
    let verified = verified(&request());
    ApprovalText::of(&verified, &trust(), TravelRule::Cleared, policies, "d34db33fcafef00d", expires_at)
        .unwrap()
}

pub fn freeze() -> FreezeText {
    FreezeText {
        freeze: FreezeId::of_bytes([0xf7; 16]),
        party: Addressee::Both,
        operator: "kim".into(),
        at: NOW,
        reason: "a machine of ours was broken into".into(),
    }
}

pub fn resume() -> ResumeText {
    ResumeText {
        freeze: freeze().freeze,
        party: KeyRole::Signer,
        scope: Scope::All,
        reviewed: 1_204,
        at: NOW,
        expires_at: NOW.plus(14_400),
    }
}

pub fn possession() -> PossessionText {
    PossessionText {
        role: KeyRole::Cosigner,
        network: Network::Mainnet,
        // The xpub of BIP-0032's first test vector.
        key: "[3442193e/48h/0h/0h/2h]xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8".into(),
        at: NOW,
    }
}
