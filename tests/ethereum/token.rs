//! Tokens as they are met: one that answers as the standard says, one that returns nothing (USDT), one that returns false
//! and moves nothing, one that takes a fee, one that reverts. A few instructions each; balances lie at the holder's slot.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use super::chain::Chain;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Standard,
    ReturnsNothing,
    ReturnsFalse,
    TakesFee,
    Reverts,
}

pub const DECIMALS: u8 = 6;

/// Puts a token on the chain and gives it to somebody.
pub async fn token(chain: &Chain, manner: Manner, holder: Address, units: u64) -> Address {
    let at = Address::from_word(keccak256(format!("{manner:?}")));
    put(chain, at, manner).await;
    grant(chain, at, holder, units).await;
    at
}

/// Puts a token at an address.
pub async fn put(chain: &Chain, at: Address, manner: Manner) {
    chain.put_code(at, code(manner)).await;
}

pub async fn grant(chain: &Chain, token: Address, holder: Address, units: u64) {
    chain.put_storage(token, holder.into_word(), B256::from(U256::from(units))).await;
}

pub async fn held(chain: &Chain, token: Address, holder: Address) -> U256 {
    let data = [&keccak256("balanceOf(address)")[..4], holder.into_word().as_slice()].concat();
    U256::from_be_slice(&chain.call(token, &data).await.unwrap())
}

fn code(manner: Manner) -> Bytes {
    let selector = |name: &str| keccak256(name)[..4].to_vec();
    let push = |bytes: &[u8]| [&[0x5f + u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let word = |offset: u8| [push(&[offset]), vec![0x35]].concat(); // CALLDATALOAD
    let answer =
        |value: Vec<u8>| [value, push(&[0]), vec![0x52], push(&[32]), push(&[0]), vec![0xf3]].concat();
    let balance = answer([word(4), vec![0x54]].concat());
    let decimals = answer(push(&[DECIMALS]));
    // PC-relative targets are awkward: every part is reached by its offset, which two passes settle
    let when = |name: &str, target: u16| {
        [
            push(&[0]),
            vec![0x35],
            push(&[0xe0]),
            vec![0x1c],
            push(&selector(name)),
            vec![0x14],
            push(&target.to_be_bytes()),
            vec![0x57],
        ]
        .concat()
    };
    let build = |at: [u16; 3]| {
        let head = [
            when("transfer(address,uint256)", at[0]),
            when("balanceOf(address)", at[1]),
            when("decimals()", at[2]),
            push(&[0]),
            push(&[0]),
            vec![0xfd],
        ]
        .concat();
        let parts = [transfer(manner, &push, &word, &answer), balance.clone(), decimals.clone()];
        let mut offsets = [0; 3];
        let mut code = head;
        for (offset, part) in offsets.iter_mut().zip(parts) {
            *offset = u16::try_from(code.len()).unwrap();
            code.push(0x5b);
            code.extend(part);
        }
        (code, offsets)
    };
    let (_, offsets) = build([0; 3]);
    build(offsets).0.into()
}

fn transfer(
    manner: Manner,
    push: &dyn Fn(&[u8]) -> Vec<u8>,
    word: &dyn Fn(u8) -> Vec<u8>,
    answer: &dyn Fn(Vec<u8>) -> Vec<u8>,
) -> Vec<u8> {
    match manner {
        Manner::Reverts => return [push(&[0]), push(&[0]), vec![0xfd]].concat(),
        Manner::ReturnsFalse => return answer(push(&[0])),
        Manner::Standard | Manner::ReturnsNothing | Manner::TakesFee => {}
    }
    let credited = match manner {
        Manner::TakesFee => [push(&[1]), word(0x24), vec![0x03]].concat(),
        _ => word(0x24),
    };
    let take = [word(0x24), vec![0x33, 0x54, 0x03, 0x33, 0x55]].concat();
    let give = [credited.clone(), word(4), vec![0x54, 0x01], word(4), vec![0x55]].concat();
    let topic = keccak256("Transfer(address,address,uint256)");
    let tell = [
        credited,
        push(&[0]),
        vec![0x52],
        word(4),
        vec![0x33],
        push(topic.as_slice()),
        push(&[32]),
        push(&[0]),
        vec![0xa3],
    ]
    .concat();
    let end = if manner == Manner::ReturnsNothing { vec![0x00] } else { answer(push(&[1])) };
    [take, give, tell, end].concat()
}
