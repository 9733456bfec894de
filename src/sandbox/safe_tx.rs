//! Reads the call that executes a Safe transaction with other code than the parties': words laid out by hand, Keccak-256 by `sha3`,
//! owners recovered by `k256`. Believes nothing and asks nobody.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

use crate::ethereum::{Address, B256};
use crate::withdrawal::SafePlace;

const EXECUTION: &str =
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)";
const TRANSFER: &str = "transfer(address,uint256)";
const DOMAIN_TYPE: &str = "EIP712Domain(uint256 chainId,address verifyingContract)";
const SAFE_TX_TYPE: &str = "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)";
/// The words of the call's head, in their order.
const HEAD: usize = 10;

/// Who gets what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// Who.
    pub to: Address,
    /// Of which token; of none it is the coin.
    pub token: Option<Address>,
    /// How much, in base units.
    pub units: u128,
}

/// A Safe transaction as it can be read from the call alone.
#[derive(Debug)]
pub struct SafeTx {
    /// What the owners signed (EIP-712).
    pub hash: B256,
    /// The one payment that it makes.
    pub payment: Payment,
    /// Whose two signatures it bears, in ascending order.
    pub owners: [Address; 2],
}

/// Reads the call for this place; the text says what is wrong.
pub fn read(data: &[u8], place: &SafePlace) -> Result<SafeTx, &'static str> {
    let arguments = data.strip_prefix(&selector(EXECUTION)).ok_or("calls something else")?;
    let (words, _) = arguments.as_chunks::<32>();
    let head: &[[u8; 32]; HEAD] = words.first_chunk().ok_or("is cut short")?;
    let [to, value, _, operation, kept, base, price, gas_token, refund, _] = head;
    if [operation, base, price, gas_token, refund].into_iter().any(|word| *word != [0; 32]) {
        return Err("delegates, or pays for its gas");
    }
    if *kept == [0; 32] {
        return Err("keeps no gas, so that a refusing payee stops those behind it");
    }
    let inner = bytes(arguments, head, 2).ok_or("has no data where it should be")?;
    let signatures = bytes(arguments, head, 9).ok_or("has no signatures where they should be")?;
    let hash = hash((to, value, inner, kept), place);
    let payment = payment(address(to)?, number(value)?, inner)?;
    Ok(SafeTx { hash: hash.into(), payment, owners: owners(signatures, &hash)? })
}

/// The hash that the owners signed; what is zero in every transaction of ours is zero here.
fn hash((to, value, data, kept): (&[u8; 32], &[u8; 32], &[u8], &[u8; 32]), place: &SafePlace) -> [u8; 32] {
    let number = |number: u64| {
        let mut word = [0; 32];
        word.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
        word
    };
    let domain = [keccak(DOMAIN_TYPE.as_bytes()), number(place.chain.number()), place.safe.into_word().0];
    let zero = [0; 32];
    let kind = keccak(SAFE_TX_TYPE.as_bytes());
    let tx = [kind, *to, *value, keccak(data), zero, *kept, zero, zero, zero, zero, number(place.nonce)];
    let parts = [keccak(domain.as_flattened()), keccak(tx.as_flattened())];
    keccak(&[&[0x19, 0x01], parts.as_flattened()].concat())
}

fn payment(to: Address, value: u128, inner: &[u8]) -> Result<Payment, &'static str> {
    if inner.is_empty() {
        return Ok(Payment { to, token: None, units: value });
    }
    let arguments = inner.strip_prefix(&selector(TRANSFER)).ok_or("calls something else than a transfer")?;
    match arguments.as_chunks::<32>() {
        ([payee, units], []) if value == 0 => {
            Ok(Payment { to: address(payee)?, token: Some(to), units: number(units)? })
        }
        _ => Err("is no plain transfer of a token"),
    }
}

/// Both signers, found from their signatures; a high S is nobody's.
fn owners(signatures: &[u8], hash: &[u8; 32]) -> Result<[Address; 2], &'static str> {
    let ([first, second], []) = signatures.as_chunks::<65>() else {
        return Err("does not bear exactly two signatures");
    };
    let owners = [signer(first, hash)?, signer(second, hash)?];
    if owners.is_sorted_by(|one, next| one < next) { Ok(owners) } else { Err("is not signed in order") }
}

fn signer(signature: &[u8; 65], hash: &[u8; 32]) -> Result<Address, &'static str> {
    let no = "bears a signature that is nobody's";
    let (compact, v) = signature.split_last_chunk::<1>().ok_or(no)?;
    let id = RecoveryId::from_byte(v.first().and_then(|v| v.checked_sub(27)).ok_or(no)?).ok_or(no)?;
    let signature = Signature::from_slice(compact).map_err(|_| no)?;
    if signature.normalize_s() != signature {
        return Err(no);
    }
    let key = VerifyingKey::recover_from_prehash(hash, &signature, id).map_err(|_| no)?;
    let point = key.to_sec1_point(false);
    let coordinates = point.as_bytes().get(1..).ok_or(no)?;
    Ok(Address::from_word(keccak(coordinates).into()))
}

/// The bytes that one word of the head points to.
fn bytes<'a>(arguments: &'a [u8], head: &[[u8; 32]; HEAD], word: usize) -> Option<&'a [u8]> {
    let at = usize::try_from(number(head.get(word)?).ok()?).ok()?;
    let (len, rest) = arguments.get(at..)?.split_first_chunk::<32>()?;
    rest.get(..usize::try_from(number(len).ok()?).ok()?)
}

fn number(word: &[u8; 32]) -> Result<u128, &'static str> {
    let (high, low) = word.split_first_chunk::<16>().ok_or("has no number")?;
    let low: [u8; 16] = low.try_into().map_err(|_| "has no number")?;
    if *high == [0; 16] { Ok(u128::from_be_bytes(low)) } else { Err("has a number beyond 128 bits") }
}

fn address(word: &[u8; 32]) -> Result<Address, &'static str> {
    let word = B256::from(*word);
    let address = Address::from_word(word);
    if address.into_word() == word { Ok(address) } else { Err("has no address where one should be") }
}

fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak(signature.as_bytes());
    [a, b, c, d]
}

fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}
