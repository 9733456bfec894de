// Reads Safe transactions as JSON, and writes their hashes as viem and ethers compute them.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const from = createRequire(`${process.env.COUNTERSIGN_EVM}/package.json`);
const { hashTypedData } = from('viem');
const { TypedDataEncoder } = from('ethers');

const question = JSON.parse(readFileSync(0, 'utf8'));
const domain = { chainId: question.chain, verifyingContract: question.safe };
const field = (type, name) => ({ type, name });
const types = {
  SafeTx: [
    field('address', 'to'), field('uint256', 'value'), field('bytes', 'data'), field('uint8', 'operation'),
    field('uint256', 'safeTxGas'), field('uint256', 'baseGas'), field('uint256', 'gasPrice'),
    field('address', 'gasToken'), field('address', 'refundReceiver'), field('uint256', 'nonce'),
  ],
};
const nobody = '0x0000000000000000000000000000000000000000';
const messages = question.calls.map((call) => ({
  ...call, value: BigInt(call.value), safeTxGas: BigInt(call.safeTxGas), nonce: BigInt(call.nonce),
  baseGas: 0n, gasPrice: 0n, gasToken: nobody, refundReceiver: nobody,
}));
console.log(JSON.stringify({
  viem: messages.map((message) => hashTypedData({ domain, types, primaryType: 'SafeTx', message })),
  ethers: messages.map((message) => TypedDataEncoder.hash(domain, types, message)),
}));
