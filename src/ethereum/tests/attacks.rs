//! The co-signer's side: a proposal that does anything but what was asked is refused, with a code that says what it is.

use alloy_sol_types::{SolCall, SolValue};

use super::super::abi::{
    self, ProposalFields, execTransactionCall, multiSendCall, swapOwnerCall, transferCall,
};
use super::super::action::{multi_send, payment_call, pre_validated};
use super::super::build::execution;
use super::*;
use crate::withdrawal::Code;

fn safe() -> TrustedSafe {
    trusted(&wallet(0), 5)
}

fn asked() -> Vec<Payee> {
    vec![ether_to(1, 900), token_to(2, 800)]
}

/// What an honest signer proposes for these, to be altered.
fn honest(payees: &[Payee]) -> SafeCall {
    Unsigned::build(&safe(), &plan(payees)).unwrap().call().clone()
}

fn fields(call: &SafeCall, change: impl FnOnce(&mut ProposalFields)) -> Vec<u8> {
    let mut fields = ProposalFields {
        chainId: U256::from(CHAIN.number()),
        safe: wallet(0).address(),
        nonce: U256::from(call.nonce),
        execution: execution(call, vec![]).into(),
    };
    change(&mut fields);
    fields.abi_encode_params()
}

fn told(bytes: &[u8], payees: &[Payee]) -> Result<TransactionKind, Code> {
    check_proposal(bytes, &safe(), &expecting(payees)).map(|ok| ok.kind()).map_err(|no| no.code())
}

fn judged(call: &SafeCall, payees: &[Payee]) -> Result<TransactionKind, Code> {
    told(&fields(call, |_| {}), payees)
}

fn altered(payees: &[Payee], change: impl FnOnce(&mut SafeCall)) -> Result<TransactionKind, Code> {
    let mut call = honest(payees);
    change(&mut call);
    judged(&call, payees)
}

/// The honest execution with a field of its refund or its operation changed, which the house's own types cannot say.
fn execution_with(
    payees: &[Payee],
    change: impl FnOnce(&mut execTransactionCall),
) -> Result<TransactionKind, Code> {
    let call = honest(payees);
    let mut exec = abi::read_call::<execTransactionCall>(&execution(&call, vec![])).unwrap();
    change(&mut exec);
    told(&fields(&call, |fields| fields.execution = exec.abi_encode().into()), payees)
}

#[test]
fn what_was_asked_is_found_good_alone_and_in_a_batch() {
    for payees in [&asked()[..], &asked()[..1], &asked()[1..]] {
        assert_eq!(altered(payees, |_| {}), Ok(TransactionKind::Withdrawal));
    }
    let reversed: Vec<Payee> = asked().into_iter().rev().collect();
    assert_eq!(judged(&honest(&reversed), &asked()), Ok(TransactionKind::Withdrawal));
}

#[test]
fn delegatecall_to_anything_but_the_pinned_multi_send_is_refused() {
    for payees in [&asked()[..1], &asked()[1..]] {
        let no = altered(payees, |call| call.operation = Operation::DelegateCall);
        assert_eq!(no, Err(Code::CallNotAllowed));
    }
    let other = [pins::V1_5_0.multi_send.address, pins::V1_4_1.fallback_handler.address, stranger(9)];
    for to in other {
        assert_eq!(altered(&asked(), |call| call.to = to), Err(Code::CallNotAllowed));
    }
    assert_eq!(execution_with(&asked(), |exec| exec.operation = 2), Err(Code::CallNotAllowed));
    // the batch as a plain call would run in MultiSend's own name
    assert_eq!(altered(&asked(), |call| call.operation = Operation::Call), Err(Code::CallNotAllowed));
}

#[test]
fn a_call_hidden_within_a_batch_is_refused() {
    let honest: Vec<_> = asked().iter().map(payment_call).collect();
    let batch =
        |calls: &[(Address, U256, Bytes)]| altered(&asked(), |call| call.data = multi_send(calls).into());
    assert_eq!(batch(&honest), Ok(TransactionKind::Withdrawal));
    let with = |extra: (Address, U256, Bytes)| batch(&[honest.clone(), vec![extra]].concat());
    assert_eq!(with(payment_call(&ether_to(66, 1))), Err(Code::TransactionMismatch));
    assert_eq!(with(honest[0].clone()), Err(Code::TransactionMismatch), "a payee paid twice");
    let own = wallet(0).address();
    for selector in [
        "enableModule(address)",
        "setGuard(address)",
        "changeThreshold(uint256)",
        "setFallbackHandler(address)",
        "addOwnerWithThreshold(address,uint256)",
    ] {
        let data =
            [&alloy_primitives::keccak256(selector)[..4], stranger(66).into_word().as_slice()].concat();
        assert_eq!(with((own, U256::ZERO, data.into())), Err(Code::CallNotAllowed), "{selector}");
    }
    let swap = swapOwnerCall {
        prevOwner: wallet::SENTINEL,
        oldOwner: owner(KeyRole::Signer),
        newOwner: stranger(66),
    };
    assert_eq!(with((own, U256::ZERO, swap.abi_encode().into())), Err(Code::KindNotAllowed));
    // MultiSend takes the zero address for the Safe itself
    assert_eq!(with((Address::ZERO, U256::ZERO, swap.abi_encode().into())), Err(Code::CallNotAllowed));
    assert_eq!(
        with((stranger(200), U256::from(1), payment_call(&token_to(2, 800)).2)),
        Err(Code::CallNotAllowed)
    );
}

#[test]
fn a_batch_that_does_not_end_with_its_last_byte_is_refused() {
    let calls: Vec<_> = asked().iter().map(payment_call).collect();
    let packed = abi::read_call::<multiSendCall>(&multi_send(&calls)).unwrap().transactions.to_vec();
    let told = |packed: Vec<u8>| {
        let data = multiSendCall { transactions: packed.into() }.abi_encode();
        altered(&asked(), |call| call.data = data.into())
    };
    assert_eq!(told(packed.clone()), Ok(TransactionKind::Withdrawal));
    for cut in [1, 31, 68, 84] {
        assert_eq!(told(packed[..packed.len() - cut].to_vec()), Err(Code::CallNotAllowed));
        assert_eq!(told([packed.clone(), vec![0; cut]].concat()), Err(Code::CallNotAllowed));
    }
    let mut inner = packed.clone();
    inner[0] = 1;
    assert_eq!(told(inner), Err(Code::CallNotAllowed), "an inner DELEGATECALL");
    let mut long = packed.clone();
    long[53] = 0xff;
    assert_eq!(told(long), Err(Code::CallNotAllowed), "a length beyond memory");
    assert_eq!(told(vec![]), Err(Code::CallNotAllowed));
    let many: Vec<_> = (0..201).map(|_| payment_call(&ether_to(1, 900))).collect();
    assert_eq!(altered(&asked(), |call| call.data = multi_send(&many).into()), Err(Code::CallNotAllowed));
}

#[test]
fn another_call_than_a_plain_transfer_is_refused() {
    let token = &asked()[1..];
    let told = |data: Vec<u8>| altered(token, |call| call.data = data.into());
    let honest = payment_call(&token[0]).2.to_vec();
    for name in [
        "approve(address,uint256)",
        "increaseAllowance(address,uint256)",
        "transferAndCall(address,uint256)",
        "burn(address,uint256)",
    ] {
        let data = [&alloy_primitives::keccak256(name)[..4], &honest[4..]].concat();
        assert_eq!(told(data), Err(Code::CallNotAllowed), "{name}");
    }
    let from = [
        &alloy_primitives::keccak256("transferFrom(address,address,uint256)")[..4],
        &honest[4..36],
        &honest[4..],
    ]
    .concat();
    assert_eq!(told(from), Err(Code::CallNotAllowed));
    assert_eq!(told(vec![0; 3]), Err(Code::CallNotAllowed));
    assert_eq!(told([honest.clone(), vec![0]].concat()), Err(Code::CallNotAllowed), "a byte too many");
    assert_eq!(told([honest.clone(), vec![0; 32]].concat()), Err(Code::CallNotAllowed), "a word too many");
    assert_eq!(told(honest[..67].to_vec()), Err(Code::CallNotAllowed), "a byte too few");
    let mut dirty = honest.clone();
    dirty[4] = 1;
    assert_eq!(told(dirty), Err(Code::CallNotAllowed), "an address with something before it");
    assert_eq!(told(vec![]), Err(Code::CallNotAllowed), "no call at all");
    assert_eq!(
        altered(token, |call| call.value = U256::from(1)),
        Err(Code::CallNotAllowed),
        "ether with a token"
    );
    // ether with data runs the payee's code with words of somebody's choice
    assert_eq!(altered(&asked()[..1], |call| call.data = vec![1, 2, 3, 4].into()), Err(Code::CallNotAllowed));
}

#[test]
fn another_payee_amount_or_token_is_refused_and_so_is_one_left_out() {
    let told = |paid: &[Payee]| judged(&honest(paid), &asked());
    let both = asked();
    let changed = |change: fn(&mut Payee)| {
        let mut payees = asked();
        change(&mut payees[1]);
        payees
    };
    assert_eq!(told(&changed(|payee| payee.to = stranger(66))), Err(Code::TransactionMismatch));
    assert_eq!(
        told(&changed(|payee| payee.amount = Units::new(U256::from(801)))),
        Err(Code::TransactionMismatch)
    );
    assert_eq!(
        told(&changed(|payee| payee.asset = EvmAsset::Token(CHAIN, stranger(201)))),
        Err(Code::TransactionMismatch)
    );
    assert_eq!(told(&changed(|payee| payee.asset = EvmAsset::Ether(CHAIN))), Err(Code::TransactionMismatch));
    assert_eq!(told(&both[..1]), Err(Code::TransactionMismatch), "one left out");
    let zero = transferCall { to: stranger(2), amount: U256::ZERO }.abi_encode();
    assert_eq!(altered(&both[1..], |call| call.data = zero.into()), Err(Code::CallNotAllowed));
    assert_eq!(altered(&both[..1], |call| call.value = U256::ZERO), Err(Code::CallNotAllowed));
    let to_nobody = transferCall { to: Address::ZERO, amount: U256::from(800) }.abi_encode();
    assert_eq!(altered(&both[1..], |call| call.data = to_nobody.into()), Err(Code::CallNotAllowed));
}

#[test]
fn a_payee_that_is_ones_own_or_the_tokens_contract_is_refused() {
    let own = ether_to(252, 5);
    assert_eq!(judged(&honest(&[own]), &[own]), Err(Code::DestinationOwn));
    let itself = Payee { to: wallet(0).address(), ..ether_to(1, 5) };
    assert_eq!(judged(&honest(&[itself]), &[itself]), Err(Code::DestinationOwn));
    let into_token = Payee { to: stranger(200), ..token_to(1, 5) };
    assert_eq!(
        Unsigned::build(&safe(), &plan(&[into_token])).err(),
        Some(BuildError::Payment(0)),
        "the builder says no"
    );
    let mut call = honest(&[token_to(1, 5)]);
    call.data = payment_call(&into_token).2;
    assert_eq!(judged(&call, &[into_token]), Err(Code::TransactionMismatch), "and so does the checker");
}

#[test]
fn ether_to_a_contract_goes_alone() {
    let (contract, other) = (ether_to(253, 5), ether_to(1, 5));
    assert_eq!(judged(&honest(&[contract]), &[contract]), Ok(TransactionKind::Withdrawal));
    assert_eq!(judged(&honest(&[contract, other]), &[contract, other]), Err(Code::TransactionMismatch));
    let token = token_to(253, 5);
    assert_eq!(
        judged(&honest(&[token, other]), &[token, other]),
        Ok(TransactionKind::Withdrawal),
        "a token may"
    );
}

#[test]
fn a_refund_to_anybody_is_refused() {
    for payees in [&asked()[..], &asked()[..1]] {
        let told = |change: fn(&mut execTransactionCall)| execution_with(payees, change);
        assert_eq!(told(|_| {}), Ok(TransactionKind::Withdrawal));
        assert_eq!(told(|exec| exec.gasPrice = U256::from(1)), Err(Code::CallNotAllowed));
        assert_eq!(told(|exec| exec.baseGas = U256::from(1)), Err(Code::CallNotAllowed));
        assert_eq!(told(|exec| exec.gasToken = stranger(200)), Err(Code::CallNotAllowed));
        assert_eq!(told(|exec| exec.refundReceiver = stranger(66)), Err(Code::CallNotAllowed));
        assert_eq!(told(|exec| exec.safeTxGas = U256::ZERO), Err(Code::CallNotAllowed));
        assert_eq!(told(|exec| exec.safeTxGas = U256::MAX), Err(Code::CallNotAllowed));
        assert_eq!(told(|exec| exec.safeTxGas = U256::from(1_000_001)), Err(Code::TransactionMismatch));
    }
}

#[test]
fn another_safe_chain_or_nonce_is_refused() {
    let call = honest(&asked());
    let told = |change: fn(&mut ProposalFields)| told(&fields(&call, change), &asked());
    assert_eq!(told(|_| {}), Ok(TransactionKind::Withdrawal));
    assert_eq!(told(|fields| fields.safe = wallet(1).address()), Err(Code::TransactionMismatch));
    assert_eq!(told(|fields| fields.chainId = U256::from(10)), Err(Code::TransactionMismatch));
    assert_eq!(told(|fields| fields.chainId = U256::ZERO), Err(Code::FieldMalformed));
    assert_eq!(
        told(|fields| fields.nonce = U256::from(8)),
        Err(Code::AnchorMismatch),
        "not the nonce reserved"
    );
    assert_eq!(told(|fields| fields.nonce = U256::from(6)), Err(Code::AnchorMismatch));
    assert_eq!(told(|fields| fields.nonce = U256::MAX), Err(Code::FieldMalformed));
}

#[test]
fn a_nonce_that_the_chain_has_seen_used_is_never_signed_again() {
    let used = trusted(&wallet(0), 8);
    let bytes = fields(&honest(&asked()), |_| {});
    let no = check_proposal(&bytes, &used, &expecting(&asked())).unwrap_err();
    assert_eq!((no.code(), no), (Code::AnchorMismatch, CheckError::NonceUsed { found: 7, at: 8 }));
    let built = Unsigned::build(&used, &plan(&asked())).err();
    assert_eq!(built, Some(BuildError::NonceUsed { nonce: 7, at: 8 }));
}

#[test]
fn a_proposal_in_another_spelling_is_refused() {
    let bytes = fields(&honest(&asked()), |_| {});
    assert_eq!(told(&bytes, &asked()), Ok(TransactionKind::Withdrawal));
    assert_eq!(told(&[bytes.clone(), vec![0; 32]].concat(), &asked()), Err(Code::FieldMalformed));
    assert_eq!(told(&bytes[..bytes.len() - 1], &asked()), Err(Code::FieldMalformed));
    assert_eq!(told(&[], &asked()), Err(Code::FieldMalformed));
    assert_eq!(told(&vec![0; 300_000], &asked()), Err(Code::FieldTooLong));
    let mut padded = bytes.clone();
    *padded.last_mut().unwrap() = 1;
    assert_eq!(told(&padded, &asked()), Err(Code::FieldMalformed), "dirt behind the last byte");
    let one: Vec<_> = asked()[..1].iter().map(payment_call).collect();
    let mut batch_of_one = honest(&asked());
    batch_of_one.data = multi_send(&one).into();
    assert_eq!(judged(&batch_of_one, &asked()[..1]), Err(Code::TransactionMismatch), "a batch of one");
}

#[test]
fn what_is_not_the_transaction_reserved_is_refused_whatever_it_pays() {
    let (first, second) = (honest(&asked()), honest(&asked().into_iter().rev().collect::<Vec<_>>()));
    let expect = |hash| Expectations { hash: Some(hash), ..expecting(&[]) };
    let payees = asked();
    let hash = first.hash(&wallet(0)).unwrap();
    let reserved = Expectations { payees: &payees, ..expect(hash) };
    assert!(check_proposal(&fields(&first, |_| {}), &safe(), &reserved).is_ok());
    let no = check_proposal(&fields(&second, |_| {}), &safe(), &reserved).unwrap_err();
    assert_eq!(no, CheckError::Frame("the transaction is not the one reserved"));
}

#[test]
fn pinned_places_get_a_sweep_or_a_refuel_within_its_bound_and_nothing_beside() {
    let told = |paid: &[Payee], due: &[Payee]| judged(&honest(paid), due);
    let (cold, executor) = (ether_to(250, 5), ether_to(251, 1_000));
    assert_eq!(told(&[cold], &[]), Ok(TransactionKind::Sweep));
    assert_eq!(told(&[cold, token_to(250, 9)], &[]), Ok(TransactionKind::Sweep));
    assert_eq!(told(&[executor], &[]), Ok(TransactionKind::Refuel));
    assert_eq!(told(&[ether_to(251, 1_001)], &[]), Err(Code::KindNotAllowed));
    assert_eq!(told(&[token_to(251, 5)], &[]), Err(Code::TransactionMismatch));
    assert_eq!(told(&[executor, executor], &[]), Err(Code::KindNotAllowed));
    assert_eq!(told(&[cold, executor], &[]), Err(Code::KindNotAllowed));
    assert_eq!(told(&[cold, ether_to(1, 900)], &[ether_to(1, 900)]), Err(Code::KindNotAllowed));
    assert_eq!(told(&[ether_to(1, 900)], &[]), Err(Code::TransactionMismatch), "nobody asked");
    assert_eq!(told(&[cold], &[cold]), Err(Code::TransactionMismatch), "a sweep in a withdrawal's clothes");
}

fn due() -> Vec<DepositDue> {
    let one = |index, asset, deploy| DepositDue {
        index,
        asset,
        amount: Units::new(U256::from(70)),
        deploy,
        safe_tx_gas: 50_000,
    };
    vec![one(1, EvmAsset::Ether(CHAIN), true), one(1, token(), false), one(9, token(), true)]
}

fn emptying_judged(call: &SafeCall, due: &[DepositDue]) -> Result<TransactionKind, Code> {
    let deposits = Deposits::of(&wallet(0));
    let hot = wallet(3).address();
    let expect = Expectations { emptying: Some((&deposits, hot, due)), ..expecting(&[]) };
    let checked = check_proposal(&fields(call, |_| {}), &safe(), &expect);
    checked.map(|ok| ok.kind()).map_err(|no| no.code())
}

fn emptying(due: Vec<DepositDue>, hot: Address) -> SafeCall {
    let deposits = Deposits::of(&wallet(0));
    let task = Task::Empty { deposits: &deposits, hot, due };
    Unsigned::build(&safe(), &UnsignedPlan { nonce: 7, safe_tx_gas: 900_000, task }).unwrap().call().clone()
}

#[test]
fn deposit_addresses_are_emptied_as_a_whole_into_the_hot_safe_and_no_other_way() {
    let hot = wallet(3).address();
    assert_eq!(emptying_judged(&emptying(due(), hot), &due()), Ok(TransactionKind::Emptying));
    assert_eq!(
        emptying_judged(&emptying(due()[..1].to_vec(), hot), &due()[..1]),
        Ok(TransactionKind::Emptying)
    );
    assert_eq!(
        emptying_judged(&emptying(due(), stranger(66)), &due()),
        Err(Code::TransactionMismatch),
        "another place"
    );
    let changed = |change: fn(&mut DepositDue)| {
        let mut all = due();
        change(&mut all[2]);
        emptying_judged(&emptying(all, wallet(3).address()), &due())
    };
    assert_eq!(
        changed(|one| one.amount = Units::new(U256::from(69))),
        Err(Code::TransactionMismatch),
        "not everything"
    );
    assert_eq!(changed(|one| one.index = 10), Err(Code::TransactionMismatch), "another customer");
    assert_eq!(changed(|one| one.asset = EvmAsset::Ether(CHAIN)), Err(Code::TransactionMismatch));
    assert_eq!(changed(|one| one.deploy = false), Err(Code::TransactionMismatch));
    assert_eq!(emptying_judged(&emptying(due()[..2].to_vec(), hot), &due()), Err(Code::TransactionMismatch));
    assert_eq!(judged(&emptying(due(), hot), &[]), Err(Code::KindNotAllowed), "nothing is due");
    assert_eq!(judged(&emptying(due(), hot), &asked()), Err(Code::TransactionMismatch), "a payee waits");
}

#[test]
fn a_nested_call_that_does_anything_but_pay_is_refused() {
    let deposit = Deposits::of(&wallet(0)).address(1);
    let told = |change: &dyn Fn(&mut execTransactionCall)| {
        let pay = payment_call(&Payee { to: wallet(3).address(), ..ether_to(1, 70) });
        let nested = SafeCall {
            to: pay.0,
            value: pay.1,
            data: pay.2,
            operation: Operation::Call,
            safe_tx_gas: 50_000,
            nonce: 0,
        };
        let bytes = execution(&nested, pre_validated(wallet(0).address()));
        let mut exec = abi::read_call::<execTransactionCall>(&bytes).unwrap();
        change(&mut exec);
        let mut call = emptying(due()[..1].to_vec(), wallet(3).address());
        call.data = multi_send(&[(deposit, U256::ZERO, exec.abi_encode().into())]).into();
        let one = DepositDue { deploy: false, ..due()[0] };
        emptying_judged(&call, &[one])
    };
    assert_eq!(told(&|_| {}), Ok(TransactionKind::Emptying));
    assert_eq!(told(&|exec| exec.operation = 1), Err(Code::CallNotAllowed));
    assert_eq!(told(&|exec| exec.gasPrice = U256::from(1)), Err(Code::CallNotAllowed));
    assert_eq!(told(&|exec| exec.refundReceiver = stranger(66)), Err(Code::CallNotAllowed));
    assert_eq!(told(&|exec| exec.safeTxGas = U256::ZERO), Err(Code::CallNotAllowed));
    assert_eq!(told(&|exec| exec.safeTxGas = U256::from(49_999)), Err(Code::TransactionMismatch));
    assert_eq!(told(&|exec| exec.signatures = Bytes::new()), Err(Code::CallNotAllowed));
    assert_eq!(told(&|exec| exec.signatures = pre_validated(stranger(66)).into()), Err(Code::CallNotAllowed));
    let module =
        [&alloy_primitives::keccak256("enableModule(address)")[..4], stranger(66).into_word().as_slice()]
            .concat();
    assert_eq!(
        told(&|exec| {
            exec.to = deposit;
            exec.value = U256::ZERO;
            exec.data = module.clone().into()
        }),
        Err(Code::CallNotAllowed)
    );
}

#[test]
fn a_seat_is_given_to_the_key_that_was_decided_and_to_no_other() {
    let new = stranger(88);
    let swap = |role, new| swap_of(&safe(), role, new).unwrap();
    let rotate = |task: OwnerSwap| {
        let data =
            swapOwnerCall { prevOwner: task.previous, oldOwner: task.old, newOwner: task.new }.abi_encode();
        SafeCall {
            to: wallet(0).address(),
            value: U256::ZERO,
            data: data.into(),
            operation: Operation::Call,
            safe_tx_gas: 60_000,
            nonce: 7,
        }
    };
    let told = |call: &SafeCall| {
        let expect = Expectations { rotation: Some((KeyRole::Cosigner, new)), ..expecting(&[]) };
        check_proposal(&fields(call, |_| {}), &safe(), &expect).map(|ok| ok.kind()).map_err(|no| no.code())
    };
    let good = swap(KeyRole::Cosigner, new);
    assert_eq!(told(&rotate(good)), Ok(TransactionKind::Rotation));
    let plan = UnsignedPlan { nonce: 7, safe_tx_gas: 60_000, task: Task::Rotate(good) };
    assert_eq!(*Unsigned::build(&safe(), &plan).unwrap().call(), rotate(good));
    assert_eq!(told(&rotate(swap(KeyRole::Cosigner, stranger(89)))), Err(Code::TransactionMismatch));
    assert_eq!(told(&rotate(swap(KeyRole::Vault, new))), Err(Code::TransactionMismatch));
    assert_eq!(told(&rotate(OwnerSwap { previous: stranger(1), ..good })), Err(Code::TransactionMismatch));
    assert_eq!(judged(&rotate(good), &[]), Err(Code::KindNotAllowed), "nobody decided it");
    let mut elsewhere = rotate(good);
    elsewhere.to = wallet(1).address();
    assert_eq!(told(&elsewhere), Err(Code::CallNotAllowed));
    for taken in [owner(KeyRole::Vault), wallet(0).address(), Address::ZERO, wallet::SENTINEL] {
        assert_eq!(swap_of(&safe(), KeyRole::Cosigner, taken), None);
    }
}
