//! The configuration as somebody wrote it: the fields of `deploy/*.example.toml`, unknown ones refused. Checks nothing else.

use std::path::PathBuf;

use serde::Deserialize;

/// Gives each table its `Deserialize` with unknown fields refused.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs)]
        pub struct $name { $($(#[$meta])* pub $field: $kind,)* }
    )*};
}

/// Gives a table of bounds its defaults: a field that is not written has its own.
macro_rules! bounds {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty = $default:expr,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs)]
        pub struct $name { $(pub $field: $kind,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    )*};
}

/// Any file that says whom its reader believes; the rest of it is not looked at.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct AnyFile {
    pub trust: TrustTable,
}

tables! {
    /// The signer's file.
    SignerFile {
        network: String,
        listen: String,
        freeze: FreezeTable,
        tls: TlsTable,
        wallet: WalletTable,
        store: StoreTable,
        keystore: KeystoreTable,
        trust: TrustTable,
        policy: PolicyTable,
        log: LogTable,
        cosigner: CosignerTable,
        enclave: Option<EnclaveTable>,
        verifyvasp: Option<AdapterTable>,
        #[serde(default)]
        limits: SignerLimits,
        #[serde(default)]
        tracing: TracingTable,
    }

    /// The co-signer's file.
    CosignerFile {
        network: String,
        listen: String,
        freeze: FreezeTable,
        tls: TlsTable,
        wallet: WalletTable,
        store: StoreTable,
        keystore: KeystoreTable,
        trust: TrustTable,
        policy: PolicyTable,
        log: LogTable,
        custodian: Option<CustodianTable>,
        verifyvasp: Option<RouteTable>,
        #[serde(default)]
        limits: CosignerLimits,
        #[serde(default)]
        tracing: TracingTable,
    }

    /// The relay's file; `member` and `limits` are read by the relay itself.
    RelayFile {
        listen: String,
        key: SecretTable,
        tls: TlsTable,
        member: Vec<toml::Table>,
        #[serde(default)]
        limits: toml::Table,
        #[serde(default)]
        tracing: TracingTable,
    }

    /// The file of an observer of EVM chains.
    ObserverFile {
        observer: String,
        statement_key: SecretTable,
        state: PathBuf,
        #[serde(default = "every_s")]
        every_s: u64,
        signer: SignerPlaceTable,
        tls: TlsTable,
        trust: TrustTable,
        chains: Vec<ChainTable>,
        #[serde(default)]
        tracing: TracingTable,
    }

    /// Where the signer is.
    SignerPlaceTable {
        address: String,
    }

    /// An EVM chain, and its nodes.
    ChainTable {
        network: String,
        quorum: usize,
        #[serde(default = "finalized")]
        finality: String,
        #[serde(default = "depth")]
        depth: u64,
        #[serde(default = "head_age_s_max")]
        head_age_s_max: u64,
        #[serde(default = "final_age_s_max")]
        final_age_s_max: u64,
        #[serde(default = "time_ms")]
        time_ms: u64,
        #[serde(default = "log_blocks_max")]
        log_blocks_max: u64,
        #[serde(default = "at_once_max")]
        at_once_max: usize,
        ca: Option<PathBuf>,
        nodes: Vec<NodeTable>,
    }

    /// One node of a chain.
    NodeTable {
        name: String,
        url: Option<String>,
        url_file: Option<PathBuf>,
        bearer: Option<SecretTable>,
    }

    /// The brake: its own listener, and the folder of its marker.
    FreezeTable {
        listen: String,
        folder: PathBuf,
    }

    /// A certificate, its key, and the CA.
    TlsTable {
        ca: PathBuf,
        cert: PathBuf,
        key: PathBuf,
    }

    /// What was compared by eye.
    WalletTable {
        hot_fingerprint: String,
        cold_fingerprint: String,
    }

    /// Where the store is.
    StoreTable {
        url: Option<String>,
        url_file: Option<PathBuf>,
    }

    /// The sealed seed.
    KeystoreTable {
        path: PathBuf,
        passphrase: SecretTable,
    }

    /// Where a secret comes from.
    SecretTable {
        file: Option<PathBuf>,
        descriptor: Option<u32>,
    }

    /// Whom the party believes.
    TrustTable {
        file: PathBuf,
        signatures: Vec<PathBuf>,
        quorum: QuorumTable,
    }

    /// Who may sign a trust file.
    QuorumTable {
        threshold: usize,
        people: Vec<PersonTable>,
    }

    /// One key of one person.
    PersonTable {
        name: String,
        key: String,
    }

    /// What may leave.
    PolicyTable {
        settings: PathBuf,
        rules: String,
    }

    /// The party's log.
    LogTable {
        origin: String,
    }

    /// The other key.
    CosignerTable {
        address: String,
        tls: Option<TlsTable>,
    }

    /// The file of an enclave that stands alone.
    EnclaveFile {
        trust: TrustTable,
        enclave: EnclaveTable,
        #[serde(default)]
        tracing: TracingTable,
        #[serde(default = "locked")]
        memory_lock: bool,
    }

    /// The travel rule.
    EnclaveTable {
        user: Option<String>,
        database: PathBuf,
        data_key: Option<SecretTable>,
        encryption_key: Option<GivenTable>,
        decrypt_url: Option<String>,
        retention_days: Option<u32>,
        networks: Option<Vec<String>>,
        #[serde(default)]
        assets: Vec<AssetTable>,
        #[serde(default)]
        asset_lines: Vec<String>,
        #[serde(default)]
        old_data_keys: Vec<SecretTable>,
        #[serde(default)]
        old_encryption_keys: Vec<GivenTable>,
        screening: Option<ScreeningTable>,
        exchange: Option<ExchangeTable>,
        identity_key: SecretTable,
        listen: String,
        public_endpoint: String,
        tls: TlsTable,
        relay: RelayTable,
        #[serde(default)]
        limits: EnclaveLimits,
    }

    /// An asset that the travel rule is asked about.
    AssetTable {
        symbol: String,
        network: String,
        caip19: String,
        decimals: u32,
    }

    /// The signer's way to an enclave server of the VerifyVASP network.
    AdapterTable {
        user: Option<String>,
        database: PathBuf,
        data_key: SecretTable,
        #[serde(default)]
        old_data_keys: Vec<SecretTable>,
        retention_days: Option<u32>,
        #[serde(default = "per_vasp")]
        key_type: String,
        server: ServerPlaceTable,
        screening: Option<ScreeningTable>,
        exchange: Option<ExchangeTable>,
        #[serde(default)]
        limits: AdapterLimits,
    }

    /// The co-signer's own way to one.
    RouteTable {
        server: ServerPlaceTable,
    }

    /// Who holds key B, where it is not this party.
    CustodianTable {
        kind: String,
        outbox: Option<PathBuf>,
        inbox: Option<PathBuf>,
        url: Option<String>,
        ca: Option<PathBuf>,
        token: Option<SecretTable>,
        token_header: Option<String>,
        allow: Option<Vec<String>>,
        #[serde(default = "call_time")]
        call_time_ms: u64,
        #[serde(default = "every")]
        every_ms: u64,
        inbound: Option<InboundTable>,
    }

    /// The listener for a custodian that calls its answers in.
    InboundTable {
        listen: String,
        cert: PathBuf,
        key: PathBuf,
        token: SecretTable,
        inbox: PathBuf,
        allow: Vec<String>,
    }

    /// Where an enclave server is, and what it is shown.
    ServerPlaceTable {
        url: String,
        network_name: String,
        ca: Option<PathBuf>,
        token: Option<SecretTable>,
        token_header: Option<String>,
        allow: Option<Vec<String>>,
        #[serde(default = "call_time")]
        call_time_ms: u64,
    }

    /// The sanctions lists.
    ScreeningTable {
        folder: PathBuf,
        #[serde(default)]
        addresses: Vec<PathBuf>,
        #[serde(default)]
        names: Vec<PathBuf>,
    }

    /// The relay, as the enclave sees it.
    RelayTable {
        url: String,
        key: String,
        allow: Option<Vec<String>>,
    }

    /// A secret that the documented variables may hold as well.
    GivenTable {
        file: Option<PathBuf>,
        descriptor: Option<u32>,
        variable: Option<String>,
    }

    /// The exchange's own backend.
    ExchangeTable {
        verify_user_url: String,
        verify_account_url: String,
        transaction_url: String,
        callback_url: Option<String>,
        token: Option<GivenTable>,
        token_header: Option<String>,
        ca: Option<PathBuf>,
        allow: Option<Vec<String>>,
        listener: Option<ListenerTable>,
    }

    /// The listener for the exchange's own backend.
    ListenerTable {
        listen: String,
        token: SecretTable,
        allow: Option<Vec<String>>,
        #[serde(default = "keepalive")]
        keepalive_ms: u64,
        tls: Option<ServerTable>,
    }

    /// The executor's file.
    ExecutorFile {
        network: String,
        name: String,
        #[serde(default)]
        key_index: u32,
        keystore: KeystoreTable,
        store: StoreTable,
        log: LogTable,
        signer: SignerPlaceTable,
        tls: TlsTable,
        trust: TrustTable,
        chain: CarriedChainTable,
        #[serde(default)]
        gas: GasTable,
        #[serde(default)]
        limits: ExecutorLimits,
        #[serde(default)]
        tracing: TracingTable,
    }

    /// The chain that an executor carries to, and its nodes.
    CarriedChainTable {
        network: String,
        quorum: usize,
        #[serde(default = "finalized")]
        finality: String,
        #[serde(default = "depth")]
        depth: u64,
        #[serde(default = "time_ms")]
        time_ms: u64,
        #[serde(default = "log_blocks_max")]
        log_blocks_max: u64,
        #[serde(default = "at_once_max")]
        at_once_max: usize,
        ca: Option<PathBuf>,
        nodes: Vec<NodeTable>,
    }

    /// A server's certificate and key.
    ServerTable {
        cert: PathBuf,
        key: PathBuf,
    }
}

impl From<CarriedChainTable> for ChainTable {
    fn from(table: CarriedChainTable) -> Self {
        let CarriedChainTable { network, quorum, finality, depth, .. } = table;
        let CarriedChainTable { time_ms, log_blocks_max, at_once_max, ca, nodes, .. } = table;
        Self {
            network,
            quorum,
            finality,
            depth,
            head_age_s_max: head_age_s_max(),
            final_age_s_max: final_age_s_max(),
            time_ms,
            log_blocks_max,
            at_once_max,
            ca,
            nodes,
        }
    }
}

impl From<SecretTable> for GivenTable {
    fn from(table: SecretTable) -> Self {
        Self { file: table.file, descriptor: table.descriptor, variable: None }
    }
}

/// The network's default.
const fn every_s() -> u64 {
    12
}

fn finalized() -> String {
    "finalized".to_owned()
}

const fn depth() -> u64 {
    64
}

const fn head_age_s_max() -> u64 {
    180
}

const fn final_age_s_max() -> u64 {
    3_600
}

const fn time_ms() -> u64 {
    10_000
}

const fn log_blocks_max() -> u64 {
    1_000
}

const fn at_once_max() -> usize {
    16
}

fn per_vasp() -> String {
    "PerVasp".to_owned()
}

/// As long as an enclave server's own calls take.
const fn call_time() -> u64 {
    5_000
}

/// Often enough for a custodian who signs by machine.
const fn every() -> u64 {
    1_000
}

const fn locked() -> bool {
    true
}

/// The network's default.
const fn keepalive() -> u64 {
    5_000
}

bounds! {
    /// Bounds of the travel rule.
    EnclaveLimits {
        key_ttl_ms: u64 = 1_800_000,
        answer_wait_ms: u64 = 6_000,
        expiry_s: u64 = 86_400,
        waiting_max: u64 = 10_000,
        at_once_max: usize = 128,
    }

    /// Bounds of the adapter.
    AdapterLimits {
        answer_wait_ms: u64 = 6_000,
        expiry_s: u64 = 86_400,
    }

    /// Bounds of the signer.
    SignerLimits {
        request_age_s_max: u64 = 600,
        statement_age_s_max: u64 = 900,
        approval_age_s_max: u64 = 86_400,
        hold_s_max: u64 = 86_400,
        transit_s_max: u64 = 7_200,
        depth_min: u32 = 6,
        create_wait_ms: u64 = 2_000,
        retry_ms: u64 = 500,
        queue_max: usize = 4_096,
        open_max: usize = 20_000,
        drain_s_max: u64 = 20,
        memory_lock: bool = true,
    }

    /// Bounds of the co-signer.
    CosignerLimits {
        request_age_s_max: u64 = 600,
        hold_s_max: u64 = 86_400,
        statement_age_s_max: u64 = 900,
        approval_age_s_max: u64 = 86_400,
        transit_s_max: u64 = 7_200,
        depth_min: u32 = 6,
        queue_max: usize = 1_024,
        drain_s_max: u64 = 20,
        memory_lock: bool = true,
    }

    /// What an executor pays for gas; sums in wei, as text.
    GasTable {
        fee_per_gas_cap: String = "200000000000".to_owned(),
        fee_job_cap: String = "500000000000000000".to_owned(),
        tip_min: String = "1".to_owned(),
        balance_low: String = "500000000000000000".to_owned(),
        balance_target: String = "2000000000000000000".to_owned(),
        base_fee_margin_percent: u32 = 50,
        gas_more: u64 = 0,
        gas_limit_max: u64 = 16_777_216,
        cancel_gas: u64 = 21_000,
    }

    /// Bounds of an executor.
    ExecutorLimits {
        window: usize = 16,
        jobs_max: usize = 4_096,
        stuck_blocks: u64 = 5,
        attempts_max: usize = 40,
        search_blocks: u64 = 50_000,
        alarm_after_s: u64 = 600,
        lease_s: u64 = 30,
        pause_ms: u64 = 2_000,
        follow_ms: u64 = 1_000,
        memory_lock: bool = true,
    }

    /// How the process says what it does.
    TracingTable {
        format: String = "json".to_owned(),
        filter: String = "info".to_owned(),
    }
}
